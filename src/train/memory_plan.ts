import type { Engine, Tensor } from '../engine/engine.ts';
import { createSizingEngine, type SizedDevice } from '../engine/sizing.ts';
import { UserError } from '../errors.ts';
import type { LlamaConfig } from '../model/config.ts';
import { Decoder } from '../model/decoder.ts';
import { Adapter, type LoraConfig, mergeAdapter } from '../model/lora.ts';
import type { Policy } from '../model/policy.ts';
import { assembleWeights, isLinearWeight, weightShapes } from '../model/weights.ts';
import { Workspace } from '../model/workspace.ts';
import { dpoGradients, dpoWidth } from './dpo.ts';
import { Optimizer } from './optimizer.ts';
import { aligned, type Window } from './recorder.ts';
import { adapterTrainable } from './trainable.ts';
import { DPO_DEFAULTS } from './trainer.ts';

export interface MemoryNeeds {
  readonly config: LlamaConfig;
  readonly device: SizedDevice;
  readonly lora: LoraConfig;
  /** What the weights of linear layers, and of the embedding and the head, are held as; f32 by default. */
  readonly formats?: { readonly linear: Tensor['dtype']; readonly embedding: Tensor['dtype'] };
  /** Longest prompt and longest response, in tokens. */
  readonly promptTokens: number;
  readonly newTokens: number;
  /** Responses to a prompt. */
  readonly responses: number;
  /** Responses sampled at once. */
  readonly generationBatch: number;
  /** Different responses in a batch of training. */
  readonly trainBatch: number;
  /** Most bytes to use, where the device does not say or has more. */
  readonly limit?: number;
}

export interface MemoryPlan {
  /** Bytes of what is held, by what it is. */
  readonly items: readonly { readonly name: string; readonly bytes: number }[];
  /** Most bytes held at a time while sampling and while training; weights included. */
  readonly sampling: number;
  readonly training: number;
  /** Most bytes there are; undefined where nobody says. */
  readonly limit: number | undefined;
  /** The largest sizes up to those asked for that fit. */
  readonly generationBatch: number;
  readonly trainBatch: number;
}

interface Phase {
  readonly peak: number;
  readonly items: ReadonlyMap<string, number>;
}

/**
 * What a run would hold where: its own code, run on an engine that only counts. Sampling and training are halved until
 * they fit.
 *
 * @throws UserError when not even one response fits.
 */
export async function planMemory(needs: MemoryNeeds): Promise<MemoryPlan> {
  const total = createSizingEngine(needs.device).limits.total ?? Infinity;
  const most = Math.min(total, needs.limit ?? Infinity);
  const sampling = await largest('sampling', needs.generationBatch, most, (batch) =>
    sizeSampling(needs, batch),
  );
  const training = await largest('training', needs.trainBatch, most, (batch) => sizeTraining(needs, batch));
  const items = new Map([...sampling.phase.items, ...training.phase.items]);
  return {
    items: Array.from(items, ([name, bytes]) => ({ name, bytes })),
    sampling: sampling.phase.peak,
    training: training.phase.peak,
    limit: Number.isFinite(most) ? most : undefined,
    generationBatch: sampling.batch,
    trainBatch: training.batch,
  };
}

/** The most responses, up to `asked`, that a policy can sample at once beside what it holds; prompts and responses in tokens. */
export async function fittingGenerationBatch(
  policy: Policy,
  lora: LoraConfig,
  sizes: Pick<MemoryNeeds, 'promptTokens' | 'newTokens' | 'responses'> & { readonly asked: number },
): Promise<number> {
  const { info, limits } = policy.engine;
  const most = limits.tensor;
  const device = info.engine === 'cpu' ? 'cpu' : { maxBufferSize: most, maxStorageBufferBindingSize: most };
  const needs = {
    ...sizes,
    config: policy.config,
    device,
    lora,
    formats: {
      linear: policy.weights.blocks[0].linears.q_proj.dtype,
      embedding: policy.weights.embedding.dtype,
    },
    generationBatch: sizes.asked,
    trainBatch: 1,
  } as const;
  const found = await largest('sampling', sizes.asked, limits.total ?? Infinity, (batch) =>
    sizeSampling(needs, batch),
  );
  return found.batch;
}

async function largest(
  what: string,
  asked: number,
  most: number,
  size: (batch: number) => Promise<Phase>,
): Promise<{ batch: number; phase: Phase }> {
  for (let batch = asked; ; batch = Math.floor(batch / 2)) {
    let reason: string;
    try {
      const phase = await size(batch);
      if (phase.peak <= most) return { batch, phase };
      reason = `${what} takes ${mebibytes(phase.peak)} MiB, more than ${mebibytes(most)} MiB`;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      reason = `${what}: ${error.message}`;
    }
    if (batch === 1) throw new UserError(`memory: with one response at a time, ${reason}`);
  }
}

async function sizedPolicy({
  config,
  device,
  promptTokens,
  newTokens,
  formats,
}: MemoryNeeds): Promise<Policy> {
  const engine: Engine = createSizingEngine(device);
  const shapes = weightShapes(config);
  const weights = await assembleWeights(config, async (key) => {
    const shape = shapes.get(key)!;
    const format = isLinearWeight(key) ? formats?.linear : formats?.embedding;
    if (shape.length < 2 || !format || format === 'f32' || format === 'u32') return engine.tensor(shape);
    return engine.uploadWeights(new Uint8Array(0), shape, format);
  });
  const maxLength = Math.max(promptTokens + newTokens, Math.min(config.maxPositions, 8192));
  const table = () => engine.tensor([maxLength, config.headDim / 2]);
  return {
    name: 'plan',
    engine,
    config,
    weights,
    rope: { cos: table(), sin: table(), length: maxLength },
    workspace: new Workspace(engine),
    eosIds: [],
    maxLength,
    adapter: undefined,
  } as unknown as Policy;
}

async function sizeSampling(needs: MemoryNeeds, batch: number): Promise<Phase> {
  const { promptTokens, newTokens, responses } = needs;
  const frozen = await sizedPolicy(needs);
  const weights = frozen.engine.memory().live;
  // The aligned policy, as evaluation samples it.
  const merged = mergeAdapter(frozen, new Adapter(frozen.engine, needs.config, needs.lora));
  const policy = { ...frozen, weights: merged.weights };
  const copies = policy.engine.memory().live - weights;
  const rows = Array.from({ length: batch }, (_, row) => {
    const ids = new Array<number>(promptTokens).fill(0);
    // Prompts that differ, each of so many responses.
    ids[0] = Math.floor(row / responses);
    return { ids, stream: [0, row] as const };
  });
  const decoder = new Decoder(policy, rows, {
    maxNewTokens: newTokens,
    temperature: 1,
    topK: 0,
    topP: 1,
    repetitionPenalty: 1,
    key: [0, 0],
    eosIds: [],
  });
  for (let step = 0; step < Math.min(2, newTokens); step++) decoder.step();
  const cache = sizeOf(policy.workspace, /^(key|value)Cache\./);
  const rest = sizeOf(policy.workspace, /^(?!(key|value)Cache\.)/);
  const { peak } = policy.engine.memory();
  return {
    peak,
    items: new Map([
      ['weights', weights],
      ['sampling: weights with LoRA added', copies],
      ['sampling: keys and values', cache],
      ['sampling: activations and logits', rest],
    ]),
  };
}

async function sizeTraining(needs: MemoryNeeds, batch: number): Promise<Phase> {
  const { config, lora, promptTokens, newTokens } = needs;
  const policy = await sizedPolicy(needs);
  const { engine } = policy;
  const adapter = new Adapter(engine, config, lora);
  const trainable = adapterTrainable(adapter);
  const optimizer = new Optimizer(engine, trainable, DPO_DEFAULTS);
  const p = Math.ceil(batch / 2);
  const response = (first: number) => [first, ...new Array<number>(newTokens - 1).fill(0)];
  const pairs = Array.from({ length: p }, (_, i) => ({
    promptIds: new Array<number>(promptTokens).fill(0),
    chosenIds: response(2 * i),
    rejectedIds: response(Math.min(2 * i + 1, batch - 1)),
  }));
  const reference = { chosen: new Float32Array(p), rejected: new Float32Array(p) };
  const results = engine.tensor([aligned(dpoWidth(p))]);
  const out: Window = (offset, shape) => engine.view(results, offset, shape);
  dpoGradients(policy, pairs, reference, DPO_DEFAULTS, 1, out, trainable.pass);
  optimizer.update(1, 1, engine.tensor([1]));
  const logits = sizeOf(policy.workspace, /^logits$/);
  const rest = sizeOf(policy.workspace, /^(?!logits$)/);
  return {
    peak: engine.memory().peak,
    items: new Map([
      ['LoRA and its gradients', 8 * adapter.size],
      ['AdamW', 8 * adapter.size],
      ['training: logits', logits],
      ['training: activations and gradients', rest],
    ]),
  };
}

function sizeOf(workspace: Workspace, names: RegExp): number {
  let sum = 0;
  for (const [name, bytes] of workspace.sizes()) if (names.test(name)) sum += bytes;
  return sum;
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
