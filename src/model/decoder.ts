import type { SampleOptions, Tensor } from '../engine/engine.ts';
import { VIEW_ALIGNMENT } from '../engine/engine.ts';
import { forward, type KeyValueCache, tokenBatch } from './llama.ts';
import type { Policy } from './policy.ts';
import type { LlamaWeights } from './weights.ts';

/** A prompt to continue. `stream` names its random numbers: rows with one stream and prompt get one response. */
export interface GenerationRow {
  readonly ids: readonly number[];
  readonly stream: readonly [number, number];
}

export interface DecoderOptions extends SampleOptions {
  readonly maxNewTokens: number;
  readonly repetitionPenalty: number;
  /** Tokens that end a row. */
  readonly eosIds: readonly number[];
}

/**
 * What some steps drew for a batch of `b` rows. A row of a table is a step, and begins with the values of the `b` rows; those
 * of rows that had ended before mean nothing.
 */
export interface Decoded {
  readonly steps: number;
  readonly stride: number;
  /** `[steps, stride]` */
  readonly ids: Uint32Array;
  /** `[steps, stride]`: log-probability of each token under the policy. */
  readonly logps: Float32Array;
  /** The same in the distribution that it was drawn from. */
  readonly samplingLogps: Float32Array;
}

/**
 * One of several models that draw each token together: its logits count with `factor`. The models differ in their blocks
 * alone, so that mixing their last hidden states mixes their logits.
 */
export interface MixturePart {
  readonly weights: LlamaWeights;
  readonly factor: number;
}

/** No token: takes the place of the eos ids of a policy without any. */
const NO_TOKEN = 0xffffffff;

/**
 * A batch of rows under way on the device: every step adds a token to each row that has not ended. A prompt that
 * several rows share goes through the model once.
 */
export class Decoder {
  /** Steps recorded so far. */
  steps = 0;
  readonly rows: readonly GenerationRow[];
  /** Of these, those whose tokens were read. */
  #read = 0;
  #policy: Policy;
  #options: DecoderOptions;
  #max: number;
  #stride: number;
  #parts: readonly DecodingPart[];
  #state: ReturnType<typeof decodingState>;
  #eos: Tensor;
  /** `[1, parts]`, of a mixture. */
  #factors: Tensor | undefined;
  /** Whether tokens are drawn from the policy's own distribution, so that one log-probability says it all. */
  #plain: boolean;

  /** Draws from the policy's own weights, unless from a mixture. */
  constructor(
    policy: Policy,
    rows: readonly GenerationRow[],
    options: DecoderOptions,
    mixture: readonly MixturePart[] = [{ weights: policy.weights, factor: 1 }],
  ) {
    const { workspace, config } = policy;
    const b = rows.length;
    this.rows = rows;
    this.#policy = policy;
    this.#options = options;
    this.#max = rows.reduce((longest, { ids }) => Math.max(longest, ids.length), 0) + options.maxNewTokens;
    this.#stride = Math.ceil(b / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
    const shape = [b, this.#max, config.keyValueHeads, config.headDim];
    this.#parts = mixture.map(({ weights }, part) => {
      const caches = (name: string) =>
        Array.from({ length: config.layers }, (_, block) =>
          workspace.take(`${name}.${block}.${part}`, shape),
        );
      const cache = { keys: caches('keyCache'), values: caches('valueCache') };
      return { policy: { ...policy, weights, adapter: undefined }, cache };
    });
    if (mixture.length > 1) {
      const factors = Float32Array.from(mixture, ({ factor }) => factor);
      this.#factors = workspace.put('mixtureFactors', factors, [1, mixture.length]);
    }
    this.#state = decodingState(policy, rows, this.#max, options.maxNewTokens * this.#stride);
    const { eosIds, temperature, topK, topP, repetitionPenalty } = options;
    this.#eos = workspace.put('eos', Uint32Array.from(eosIds.length > 0 ? eosIds : [NO_TOKEN]));
    this.#plain = temperature === 1 && topK === 0 && topP >= 1 && repetitionPenalty === 1;
  }

  /** Records the next token of every row, at most `maxNewTokens` times. */
  step(): void {
    this.#extend(this.#mixed());
    this.steps++;
  }

  /** What the steps drew that were recorded since the last time, once the device has made them. */
  async read(): Promise<Decoded> {
    const { engine } = this.#policy;
    const [first, steps] = [this.#read, this.steps - this.#read];
    this.#read = this.steps;
    const made = (table: Tensor) => engine.view(table, first * this.#stride, [steps * this.#stride]);
    const { ids, logps, samplingLogps } = this.#state;
    const reads = Promise.all([
      engine.readU32(made(ids)),
      engine.read(made(samplingLogps)),
      this.#plain ? undefined : engine.read(made(logps)),
    ]);
    // Else it would be submitted with the next step, and come with its end.
    engine.flush();
    const [drawn, sampling, own] = await reads;
    return { steps, stride: this.#stride, ids: drawn, logps: own ?? sampling, samplingLogps: sampling };
  }

  /** The last hidden state of every row so far, `[b, hidden]`, over all parts. */
  #mixed(): Tensor {
    const lastOf = (part: DecodingPart) => (this.steps === 0 ? this.#prefill(part) : this.#decode(part));
    if (!this.#factors) return lastOf(this.#parts[0]);
    const { engine, workspace, config } = this.#policy;
    const shape = [this.rows.length, config.hiddenSize];
    const size = Math.ceil((shape[0] * shape[1]) / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
    const states = workspace.take('mixtureStates', [this.#parts.length, size]);
    this.#parts.forEach((part, index) => {
      engine.copy(engine.view(states, index * size, shape), lastOf(part));
    });
    const mixed = workspace.take('mixed', [1, size]);
    engine.matmul(mixed, this.#factors, states);
    return engine.view(mixed, 0, shape);
  }

  /** The last hidden state of every row's prompt, `[b, hidden]`. */
  #prefill(part: DecodingPart): Tensor {
    const { engine, workspace, config } = this.#policy;
    const b = this.rows.length;
    const { unique, sources } = uniquePrompts(this.rows);
    const prompts = tokenBatch(this.#policy, unique);
    const cache: KeyValueCache = {
      ...part.cache,
      start: workspace.put('cacheStart', new Uint32Array(b)),
      sources: workspace.put('cacheSources', Uint32Array.from(sources)),
    };
    const hidden = forward(part.policy, prompts, { cache });
    const last = workspace.take('last', [b, config.hiddenSize]);
    const lastRows = this.rows.map(({ ids }, row) => sources[row] * prompts.length + ids.length - 1);
    engine.gatherRows(last, hidden, workspace.put('lastRows', Uint32Array.from(lastRows)));
    return last;
  }

  /** The hidden state of every row's last token, `[b, hidden]`. */
  #decode(part: DecodingPart): Tensor {
    const { current, positions, lengths } = this.#state;
    const step = { ids: current, positions, rows: this.rows.length, length: 1 };
    const cache: KeyValueCache = { ...part.cache, start: positions, lengths };
    return forward(part.policy, step, { cache });
  }

  /** Appends to every row a token drawn after its last hidden state, `[b, hidden]`. */
  #extend(last: Tensor): void {
    const { engine, workspace, weights, config } = this.#policy;
    const { tokens, lengths, finished, current, positions, streams } = this.#state;
    const { repetitionPenalty } = this.#options;
    const b = this.rows.length;
    const shape = [b, config.vocabSize];
    const logits = workspace.take('logits', shape);
    const place = (table: Tensor) => engine.view(table, this.steps * this.#stride, [b]);
    const next = place(this.#state.ids);
    engine.matmul(logits, last, weights.head, { transposeB: true, fewRows: true });
    let scores = logits;
    if (repetitionPenalty !== 1) {
      scores = workspace.take('penalized', shape);
      engine.copy(scores, logits);
      engine.repetitionPenalty(scores, tokens, lengths, repetitionPenalty);
    }
    engine.sample(next, place(this.#state.samplingLogps), scores, streams, lengths, this.#options);
    if (!this.#plain) {
      engine.tokenLogps(place(this.#state.logps), workspace.take('sampleLse', [b]), logits, next);
    }
    engine.advance(tokens, lengths, finished, current, positions, next, this.#eos);
    engine.flush();
  }
}

/** A model under way, with its own keys and values. */
interface DecodingPart {
  readonly policy: Policy;
  readonly cache: { readonly keys: readonly Tensor[]; readonly values: readonly Tensor[] };
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

/** What decoding keeps on the device: each row starts as its prompt, in a table with room for `max` tokens. */
function decodingState(
  { workspace }: Policy,
  rows: readonly GenerationRow[],
  max: number,
  tableSize: number,
) {
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
    ids: workspace.take('newIds', [tableSize], 'u32'),
    logps: workspace.take('newLogps', [tableSize]),
    samplingLogps: workspace.take('newSamplingLogps', [tableSize]),
  };
}
