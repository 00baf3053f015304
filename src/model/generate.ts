import type { Engine, Tensor } from '../engine/engine.ts';
import type { Key } from '../random.ts';
import { forward, type KeyValueCache, tokenBatch } from './llama.ts';
import { mergeAdapter } from './lora.ts';
import { checkSequence, type Policy } from './policy.ts';

/** A prompt to continue. `stream` names its random numbers: rows with one stream and prompt get one response. */
export interface GenerationRow {
  readonly ids: readonly number[];
  readonly stream: readonly [number, number];
}

export interface GenerateOptions {
  readonly maxNewTokens: number;
  /** 0 takes the most likely token; 1 by default. */
  readonly temperature?: number;
  /** 0, the default, keeps all tokens. */
  readonly topK?: number;
  /** 1, the default, keeps all tokens. */
  readonly topP?: number;
  readonly key: Key;
  /** Rows decoded together; the result does not depend on it. */
  readonly batchSize?: number;
  /** False for the reference policy. True by default. */
  readonly adapter?: boolean;
  readonly signal?: AbortSignal;
  /** Rows that are done, after each batch. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Generation {
  /** The new tokens, the one that ended them included. */
  readonly ids: number[];
  /** Ended by a token of the policy's eosIds, rather than by length. */
  readonly finished: boolean;
}

const DEFAULT_BATCH_SIZE = 128;
/** Steps between two looks at which rows have ended: a look waits for the device. */
const STEPS_PER_CHECK = 16;
/** No token: takes the place of the eos ids of a policy without any. */
const NO_TOKEN = 0xffffffff;

/** Samples a continuation of every row. */
export async function generate(
  policy: Policy,
  rows: readonly GenerationRow[],
  options: GenerateOptions,
): Promise<Generation[]> {
  for (const { ids } of rows) checkSequence(policy, ids, options.maxNewTokens);
  const adapter = options.adapter === false ? undefined : policy.adapter;
  // One product a layer: the factors' own two would double the number of operations of a decoding step.
  const merged = adapter && mergeAdapter(policy, adapter);
  const model = merged ? { ...policy, weights: merged.weights } : policy;
  const batchSize = options.batchSize ?? DEFAULT_BATCH_SIZE;
  const order = rows
    .map((_, index) => index)
    .sort((a, b) => rows[a].ids.length - rows[b].ids.length || a - b);
  const results = new Array<Generation>(rows.length);
  try {
    for (let start = 0; start < order.length; start += batchSize) {
      options.signal?.throwIfAborted();
      const indices = order.slice(start, start + batchSize);
      const batch = indices.map((index) => rows[index]);
      const generations = await generateBatch(model, batch, options);
      indices.forEach((index, row) => {
        results[index] = generations[row];
      });
      options.onProgress?.(start + indices.length, rows.length);
    }
  } finally {
    merged?.free();
  }
  return results;
}

async function generateBatch(
  policy: Policy,
  rows: readonly GenerationRow[],
  options: GenerateOptions,
): Promise<Generation[]> {
  const { engine, workspace, config, weights, eosIds } = policy;
  const b = rows.length;
  const { unique, sources } = uniquePrompts(rows);
  const prompts = tokenBatch(policy, unique);
  const max = prompts.length + options.maxNewTokens;
  const state = decodingState(policy, rows, max);
  const cacheShape = [b, max, config.keyValueHeads, config.headDim];
  const caches = (name: string) =>
    Array.from({ length: config.layers }, (_, block) => workspace.take(`${name}.${block}`, cacheShape));
  const cache = { keys: caches('keyCache'), values: caches('valueCache') };
  const eos = workspace.put('eos', Uint32Array.from(eosIds.length > 0 ? eosIds : [NO_TOKEN]));
  const next = workspace.take('next', [b], 'u32');
  const sampling = {
    temperature: options.temperature ?? 1,
    topK: options.topK ?? 0,
    topP: options.topP ?? 1,
    key: options.key,
  };

  /** Appends to every row a token drawn after its last hidden state, `[b, hidden]`. */
  const extend = (last: Tensor) => {
    const logits = workspace.take('logits', [b, config.vocabSize]);
    engine.matmul(logits, last, weights.head, { transposeB: true });
    engine.sample(next, logits, state.streams, state.lengths, sampling);
    engine.advance(state.tokens, state.lengths, state.finished, state.current, state.positions, next, eos);
    engine.flush();
  };

  const prefilling: KeyValueCache = {
    ...cache,
    start: workspace.put('cacheStart', new Uint32Array(b)),
    sources: workspace.put('cacheSources', Uint32Array.from(sources)),
  };
  const hidden = forward(policy, prompts, { cache: prefilling });
  const last = workspace.take('last', [b, config.hiddenSize]);
  const lastRows = Uint32Array.from(rows, ({ ids }, row) => sources[row] * prompts.length + ids.length - 1);
  engine.gatherRows(last, hidden, workspace.put('lastRows', lastRows));
  extend(last);

  const decoding: KeyValueCache = { ...cache, start: state.positions, lengths: state.lengths };
  const step = { ids: state.current, positions: state.positions, rows: b, length: 1 };
  for (let made = 1; made < options.maxNewTokens; made++) {
    if (made % STEPS_PER_CHECK === 0) {
      options.signal?.throwIfAborted();
      if (eosIds.length > 0 && (await allFinished(engine, state.finished))) break;
    }
    extend(forward(policy, step, { cache: decoding }));
  }

  const [tokens, lengths] = await Promise.all([engine.readU32(state.tokens), engine.readU32(state.lengths)]);
  return rows.map(({ ids }, row) => {
    const made = Array.from(tokens.subarray(row * max + ids.length, row * max + lengths[row]));
    return { ids: made, finished: made.length > 0 && eosIds.includes(made[made.length - 1]) };
  });
}

/** The prompts without repetition, and the one that each row starts from: a prompt's K responses share its prefill. */
function uniquePrompts(rows: readonly GenerationRow[]): { unique: (readonly number[])[]; sources: number[] } {
  const unique: (readonly number[])[] = [];
  const indexOf = new Map<string, number>();
  const sources = rows.map(({ ids }) => {
    const key = ids.join();
    const index = indexOf.get(key) ?? unique.push(ids) - 1;
    indexOf.set(key, index);
    return index;
  });
  return { unique, sources };
}

async function allFinished(engine: Engine, finished: Tensor): Promise<boolean> {
  return (await engine.readU32(finished)).every((flag) => flag === 1);
}

/** What decoding keeps on the device: each row starts as its prompt, in a table with room for `max` tokens. */
function decodingState({ workspace }: Policy, rows: readonly GenerationRow[], max: number) {
  const b = rows.length;
  const tokens = new Uint32Array(b * max);
  rows.forEach(({ ids }, row) => {
    tokens.set(ids, row * max);
  });
  return {
    tokens: workspace.put('tokens', tokens, [b, max]),
    lengths: workspace.put(
      'lengths',
      Uint32Array.from(rows, ({ ids }) => ids.length),
    ),
    finished: workspace.put('finished', new Uint32Array(b)),
    current: workspace.take('current', [b], 'u32'),
    positions: workspace.take('decodePositions', [b], 'u32'),
    streams: workspace.put('streams', Uint32Array.from(rows.flatMap(({ stream }) => stream)), [b, 2]),
  };
}
