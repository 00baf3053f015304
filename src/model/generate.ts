import { UserError } from '../errors.ts';
import type { Key } from '../random.ts';
import { type Decoded, Decoder, type GenerationRow, type MixturePart } from './decoder.ts';
import { type Adapter, mergeAdapter } from './lora.ts';
import { checkSequence, type Policy } from './policy.ts';
import { ResponseReader } from './response_text.ts';

export type { GenerationRow } from './decoder.ts';

/** How responses are drawn, and when they end. */
export interface GenerateOptions {
  readonly maxNewTokens: number;
  /** 0 takes the most likely token; 1 by default. */
  readonly temperature?: number;
  /** 0, the default, keeps all tokens. */
  readonly topK?: number;
  /** 1, the default, keeps all tokens. */
  readonly topP?: number;
  /** Makes tokens of prompt and response less likely (CTRL); 1, the default, leaves them. */
  readonly repetitionPenalty?: number;
  /** Strings that end a response once its text holds one of them. */
  readonly stop?: readonly string[];
  readonly key: Key;
  /** Rows decoded together; the result does not depend on it. */
  readonly batchSize?: number;
  /** False for the reference policy. True by default. */
  readonly adapter?: boolean;
  /** In place of one policy: each token from softmax(Σ factor·logits) over the policy with each of these adapters. */
  readonly mixture?: readonly MixtureTerm[];
  readonly signal?: AbortSignal;
  /** Rows that are done, after each batch. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** A policy of the mixture, and the factor on its log-probabilities. */
export interface MixtureTerm {
  /** Undefined: the reference policy. */
  readonly adapter: Adapter | undefined;
  readonly factor: number;
}

/** One response, in tokens. */
export interface Generation {
  /** The new tokens, those that ended them included. */
  readonly ids: number[];
  /** Ended by a token of the policy's eosIds or by a stop string, rather than by length. */
  readonly finished: boolean;
  /** The stop string that ended it; the text ends before it (`responseText`). */
  readonly stop?: string;
  /** Log-probability of each token under the policy. */
  readonly logps: Float32Array;
  /** Log-probability of each token where it was drawn: of the policy with temperature, top-k, top-p and penalty. */
  readonly samplingLogps: Float32Array;
}

/** A token of one row. */
export interface TokenEvent {
  /** Index of the row. */
  readonly row: number;
  readonly id: number;
  readonly logp: number;
  readonly samplingLogp: number;
  /** Text to show now: whole characters only, and none that a stop string may take back. */
  readonly text: string;
  /** With the row's last token, all of it. */
  readonly done?: Generation;
}

const DEFAULT_BATCH_SIZE = 128;
/** Steps between two looks at which rows have ended: a look waits for the device. */
const STEPS_PER_CHECK = 16;
/**
 * Steps that are queued before the host waits for what those before them drew, so that a GPU never waits for the host. They are
 * in vain when that ended the last row.
 */
const STEPS_AHEAD = 8;

/** Samples a continuation of every row. */
export async function generate(
  policy: Policy,
  rows: readonly GenerationRow[],
  options: GenerateOptions,
): Promise<Generation[]> {
  const results = new Array<Generation>(rows.length);
  const endless = policy.eosIds.length === 0 && !options.stop?.length;
  const stepsPerRead = endless ? options.maxNewTokens : STEPS_PER_CHECK;
  for await (const tokens of tokensOf(policy, rows, options, stepsPerRead, false)) {
    for (const { row, done } of tokens) if (done) results[row] = done;
  }
  return results;
}

/** The same, as it comes: the tokens of every row in order, rows side by side, read every `stepsPerRead` tokens. */
export async function* streamTokens(
  policy: Policy,
  rows: readonly GenerationRow[],
  options: GenerateOptions,
  stepsPerRead = 1,
): AsyncGenerator<TokenEvent, void, void> {
  for await (const tokens of tokensOf(policy, rows, options, stepsPerRead, true)) yield* tokens;
}

/** The text of a response: up to the stop string that ended it. */
export function responseText(
  policy: Policy,
  promptIds: readonly number[],
  { ids, stop }: Generation,
): string {
  const text = policy.tokenizer.decodeCompletion(promptIds, ids);
  const end = stop === undefined ? -1 : text.indexOf(stop);
  return end < 0 ? text : text.slice(0, end);
}

async function* tokensOf(
  policy: Policy,
  rows: readonly GenerationRow[],
  options: GenerateOptions,
  stepsPerRead: number,
  withText: boolean,
): AsyncGenerator<TokenEvent[], void, void> {
  checkOptions(options);
  for (const { ids } of rows) checkSequence(policy, ids, options.maxNewTokens);
  const own = options.adapter === false ? undefined : policy.adapter;
  const terms = options.mixture ?? [{ adapter: own, factor: 1 }];
  // One product a layer: the factors' own two would double the number of operations of a decoding step.
  const merged = terms.map(({ adapter }) => adapter && mergeAdapter(policy, adapter));
  const mixture = terms.map(({ factor }, part) => ({
    factor,
    weights: merged[part]?.weights ?? policy.weights,
  }));
  const batchSize = options.batchSize ?? DEFAULT_BATCH_SIZE;
  const order = rows
    .map((_, index) => index)
    // The largest batch first: no buffer has to grow.
    .sort((a, b) => rows[b].ids.length - rows[a].ids.length || a - b);
  makeRoom(policy, rows, options.maxNewTokens, batchSize);
  try {
    for (let start = 0; start < order.length; start += batchSize) {
      options.signal?.throwIfAborted();
      const indices = order.slice(start, start + batchSize);
      const batch = indices.map((index) => rows[index]);
      for await (const tokens of batchTokens(policy, mixture, batch, options, stepsPerRead, withText)) {
        yield tokens.map((token) => ({ ...token, row: indices[token.row] }));
      }
      options.onProgress?.(start + indices.length, rows.length);
    }
  } finally {
    for (const copies of merged) copies?.free();
  }
}

/** Frees the workspace where its caches are too small: growing them one by one would leave holes between them. */
function makeRoom(
  { workspace, config }: Policy,
  rows: readonly GenerationRow[],
  newTokens: number,
  batchSize: number,
): void {
  const longest = rows.reduce((length, { ids }) => Math.max(length, ids.length), 0) + newTokens;
  const size = Math.min(batchSize, rows.length) * longest * config.keyValueHeads * config.headDim;
  if (!workspace.holds('keyCache.0.0', size)) workspace.free();
}

async function* batchTokens(
  policy: Policy,
  mixture: readonly MixturePart[],
  rows: readonly GenerationRow[],
  options: GenerateOptions,
  stepsPerRead: number,
  withText: boolean,
): AsyncGenerator<TokenEvent[], void, void> {
  const {
    maxNewTokens,
    temperature = 1,
    topK = 0,
    topP = 1,
    repetitionPenalty = 1,
    stop = [],
    key,
  } = options;
  const ends = new Map(policy.eosIds.map((id): [number, string | undefined] => [id, undefined]));
  // Special tokens leave no text to find a string in.
  for (const text of stop) {
    const id = policy.tokenizer.specialId(text);
    if (id !== undefined && !ends.has(id)) ends.set(id, text);
  }
  const eosIds = [...ends.keys()];
  const settings = { maxNewTokens, temperature, topK, topP, repetitionPenalty, key, eosIds };
  const decoder = new Decoder(policy, rows, settings, mixture);
  const needsText = withText || stop.length > 0;
  const responses = rows.map(({ ids }) => ({
    ids: [] as number[],
    logps: [] as number[],
    samplingLogps: [] as number[],
    ended: false,
    reader: needsText ? new ResponseReader(policy.tokenizer, ids, stop) : undefined,
  }));

  /** The token that a step drew for a row, if nothing has ended the row before. */
  function tokenAt(step: number, row: number, decoded: Decoded): TokenEvent | undefined {
    const response = responses[row];
    if (response.ended) return undefined;
    const place = step * decoded.stride + row;
    const id = decoded.ids[place];
    const [logp, samplingLogp] = [decoded.logps[place], decoded.samplingLogps[place]];
    response.ids.push(id);
    response.logps.push(logp);
    response.samplingLogps.push(samplingLogp);
    let { text, stop: found } = response.reader?.push(id) ?? { text: '', stop: undefined };
    const finished = found !== undefined || ends.has(id);
    response.ended = finished || response.ids.length === maxNewTokens;
    if (response.ended && found === undefined) text += response.reader?.end() ?? '';
    const token = { row, id, logp, samplingLogp, text };
    if (!response.ended) return token;
    found ??= ends.get(id);
    const done: Generation = {
      ids: response.ids,
      finished,
      ...(found === undefined ? {} : { stop: found }),
      logps: Float32Array.from(response.logps),
      samplingLogps: Float32Array.from(response.samplingLogps),
    };
    return { ...token, done };
  }

  const ahead = policy.engine.asynchronous ? STEPS_AHEAD : 0;
  const reads: Promise<Decoded>[] = [];
  for (let taken = 0; responses.some(({ ended }) => !ended); ) {
    options.signal?.throwIfAborted();
    const due = Math.min(taken + stepsPerRead, maxNewTokens);
    while (decoder.steps < Math.min(due + ahead, maxNewTokens)) {
      decoder.step();
      if (decoder.steps % stepsPerRead > 0 && decoder.steps < maxNewTokens) continue;
      const read = decoder.read();
      // It may fail while another is waited for, or when nobody asks any more.
      read.catch(() => {});
      reads.push(read);
    }
    const decoded = await reads.shift()!;
    const events: TokenEvent[] = [];
    for (let step = 0; step < decoded.steps; step++) {
      for (let row = 0; row < rows.length; row++) {
        const token = tokenAt(step, row, decoded);
        if (token) events.push(token);
      }
    }
    taken = due;
    yield events;
  }
}

function checkOptions({ maxNewTokens, temperature = 1, repetitionPenalty = 1, stop = [] }: GenerateOptions) {
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens > 0)) {
    throw new UserError(`sampling: expected max_new_tokens as a whole number above 0, got ${maxNewTokens}`);
  }
  if (!(temperature >= 0 && temperature < Infinity)) {
    throw new UserError(`sampling: expected a temperature of 0 or more, got ${temperature}`);
  }
  if (!(repetitionPenalty > 0 && repetitionPenalty < Infinity)) {
    throw new UserError(`sampling: expected repetition_penalty above 0, got ${repetitionPenalty}`);
  }
  if (stop.includes('')) throw new UserError('sampling: expected stop strings with text, got an empty one');
}
