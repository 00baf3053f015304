import { parseConfig, type RunOptions } from '../../align/config.ts';
import { encodePrompt } from '../../align/encode.ts';
import type { Prompt } from '../../data/messages.ts';
import { responseText, streamTokens } from '../../model/generate.ts';
import type { Policy } from '../../model/policy.ts';
import { Workspace } from '../../model/workspace.ts';
import { keyOf } from '../../random.ts';
import { PageSources } from './sources.ts';

/** Who answers: the policy as it was, or with the adapter. */
export type Side = 'reference' | 'aligned';

export interface ChatRequest {
  /** As a run's config.json: policy, device, and settings of sampling. */
  readonly config: RunOptions;
  /** A PEFT folder, by `folderOf`; without one the reference alone can answer. */
  readonly adapter?: string;
  readonly threads?: number;
  /** What each side answers. */
  readonly prompts: readonly { readonly side: Side; readonly prompt: Prompt }[];
  /** Draws other answers for another turn. */
  readonly turn: number;
  /** The most likely token each time. */
  readonly greedy?: boolean;
}

export interface ChatTurn {
  readonly side: Side;
  readonly text: string;
  readonly tokens: number;
  /** Ended by itself, rather than by length or by `stop`. */
  readonly finished: boolean;
}

/** Called with each piece of text. */
export type TokenListener = (side: Side, text: string) => void;

/** A policy held ready to answer. */
export class Talk {
  #key: string;
  #sources: PageSources;
  #policy: Promise<Record<Side, Policy>>;
  #config: ReturnType<typeof parseConfig>;
  #abort = new AbortController();

  constructor(request: ChatRequest) {
    this.#key = keyOfRequest(request);
    this.#config = parseConfig(request.config, 'chat');
    const {
      device,
      dtype,
      chat_template: chatTemplate,
      chat_template_kwargs: chatTemplateKwargs,
    } = this.#config;
    this.#sources = new PageSources(device, {
      threads: request.threads,
      dtype,
      chatTemplate,
      chatTemplateKwargs,
    });
    this.#policy = this.#load(request.adapter);
  }

  /** Whether this policy answers that request. */
  fits(request: ChatRequest): boolean {
    return this.#key === keyOfRequest(request);
  }

  async answer({ config, prompts, turn, greedy }: ChatRequest, tell: TokenListener): Promise<ChatTurn[]> {
    this.#abort = new AbortController();
    this.#config = parseConfig(config, 'chat');
    const sides = await this.#policy;
    return await Promise.all(
      prompts.map(({ side, prompt }) => this.#stream(side, sides[side], prompt, { turn, greedy, tell })),
    );
  }

  stop(): void {
    this.#abort.abort();
  }

  close(): void {
    this.stop();
    this.#sources.close();
  }

  async #load(adapter: string | undefined): Promise<Record<Side, Policy>> {
    const { policy: path = '' } = this.#config;
    const aligned = await this.#sources.policy(path).load();
    // Each side has buffers of its own, so that both can be under way.
    const reference = { ...aligned, adapter: undefined, workspace: new Workspace(aligned.engine) };
    if (adapter !== undefined) await this.#sources.useAdapter(aligned, adapter);
    return { reference, aligned };
  }

  async #stream(
    side: Side,
    policy: Policy,
    prompt: Prompt,
    { turn, greedy, tell }: { turn: number; greedy?: boolean; tell: TokenListener },
  ): Promise<ChatTurn> {
    const { signal } = this.#abort;
    const config = this.#config;
    const always = config.chat_template === 'always' && typeof prompt === 'string';
    const ids = encodePrompt(policy, always ? [{ role: 'user', content: prompt }] : prompt);
    const tokens = streamTokens(policy, [{ ids, stream: [turn, 0] }], {
      maxNewTokens: config.max_new_tokens,
      temperature: greedy ? 0 : config.temperature,
      topK: config.top_k,
      topP: config.top_p,
      repetitionPenalty: config.repetition_penalty,
      stop: config.stop,
      key: keyOf(config.seed, 'generate'),
      signal,
    });
    let text = '';
    let count = 0;
    try {
      for await (const token of tokens) {
        count++;
        text += token.text;
        if (token.text) tell(side, token.text);
        if (token.done) {
          const { finished } = token.done;
          return { side, text: responseText(policy, ids, token.done), tokens: count, finished };
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    return { side, text, tokens: count, finished: false };
  }
}

function keyOfRequest({ config, adapter, threads }: ChatRequest): string {
  const { policy, device, dtype, chat_template, chat_template_kwargs } = config;
  return JSON.stringify([policy, device, dtype, chat_template, chat_template_kwargs, adapter, threads]);
}
