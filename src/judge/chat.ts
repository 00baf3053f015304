import ky, { HTTPError, TimeoutError } from 'ky';
import PQueue from 'p-queue';
import * as v from 'valibot';
import type { Message } from '../data/messages.ts';
import { messageOf, UserError } from '../errors.ts';

/** A model behind an OpenAI-compatible endpoint. */
export interface ChatOptions {
  /** What stands before /chat/completions, such as "http://localhost:8080/v1". */
  readonly url: string;
  readonly model: string;
  readonly apiKey?: string;
  /** Most requests begun within a minute; no limit by default. */
  readonly requestsPerMinute?: number;
  /** Requests under way at once. */
  readonly concurrency?: number;
  /** Seconds that one request may take, its repetitions apart. */
  readonly timeout?: number;
  /** Repetitions of a request that failed for a reason that may pass: 408, 429, 5xx, no connection, no answer in time. */
  readonly retries?: number;
}

const DEFAULTS = { concurrency: 4, timeout: 60, retries: 5 };
/** Repetitions wait 1, 2, 4, … seconds, or as long as the endpoint says, at most so many. */
const LONGEST_WAIT = 60;

const answerSchema = v.object({
  choices: v.pipe(
    v.array(v.object({ message: v.object({ content: v.nullable(v.string()) }) })),
    v.minLength(1),
  ),
});

/** Asks for one completion at a time, at temperature 0; requests over the limits wait for their turn. */
export class ChatEndpoint {
  readonly name: string;
  #options: ChatOptions & typeof DEFAULTS;
  #queue: PQueue;

  constructor(options: ChatOptions) {
    this.#options = { ...DEFAULTS, ...options };
    const { url, model, concurrency, requestsPerMinute } = this.#options;
    if (!/^https?:\/\//.test(url)) {
      throw new UserError(
        `judge: expected the URL of an endpoint, such as http://localhost:8080/v1, got ${url}`,
      );
    }
    this.name = `${model} at ${new URL(url).host}`;
    const limit =
      requestsPerMinute === undefined ? {} : { interval: 60_000 / requestsPerMinute, intervalCap: 1 };
    this.#queue = new PQueue({ concurrency, ...limit });
  }

  /** The text of the model's answer. */
  complete(messages: readonly Message[]): Promise<string> {
    return this.#queue.add(() => this.#request(messages));
  }

  async #request(messages: readonly Message[]): Promise<string> {
    const { url, model, apiKey, timeout, retries } = this.#options;
    const place = `${url.replace(/\/+$/, '')}/chat/completions`;
    let answer: unknown;
    try {
      answer = await ky
        .post(place, {
          json: { model, messages, temperature: 0 },
          headers: apiKey ? { authorization: `Bearer ${apiKey}` } : {},
          timeout: timeout * 1000,
          retry: {
            limit: retries,
            methods: ['post'],
            statusCodes: [408, 429, 500, 502, 503, 504],
            retryOnTimeout: true,
            delay: (attempt) => 1000 * 2 ** (attempt - 1),
            backoffLimit: LONGEST_WAIT * 1000,
            maxRetryAfter: LONGEST_WAIT * 1000,
          },
        })
        .json();
    } catch (error) {
      throw new UserError(`judge: ${place}: ${await failureOf(error, retries)}`);
    }
    const parsed = v.safeParse(answerSchema, answer);
    if (!parsed.success) {
      throw new UserError(
        `judge: ${place}: expected a chat completion {choices: [{message: {content}}]}, got ${JSON.stringify(answer).slice(0, 120)}`,
      );
    }
    return parsed.output.choices[0].message.content ?? '';
  }
}

async function failureOf(error: unknown, retries: number): Promise<string> {
  if (error instanceof TimeoutError) return `no answer in time, ${retries + 1} times over`;
  if (!(error instanceof HTTPError)) return `${messageOf(error)}; is it running, and is the URL right?`;
  const { status } = error.response;
  const said = String(error.data ? JSON.stringify(error.data) : '').slice(0, 200);
  if (status === 401 || status === 403)
    return `status ${status}: give a key that it takes in OPENAI_API_KEY. ${said}`;
  if (status === 404)
    return `status 404: check the URL (what stands before /chat/completions) and the model's name. ${said}`;
  return `status ${status}. ${said}`;
}
