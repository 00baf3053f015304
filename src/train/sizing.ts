/** The phases of a run on an engine that only counts: what each comes to hold, by its own code. */
import type { Engine, Tensor } from '../engine/engine.ts';
import { createSizingEngine, type SizedDevice } from '../engine/sizing.ts';
import { runsOnCpu } from '../engine/webgpu/engine.ts';
import type { LlamaConfig } from '../model/config.ts';
import { Decoder } from '../model/decoder.ts';
import type { Completion, HeadLimits } from '../model/head.ts';
import type { TrainPass } from '../model/llama.ts';
import { sequenceLogps } from '../model/logps.ts';
import { Adapter, type LoraConfig, mergeAdapter } from '../model/lora.ts';
import type { Policy } from '../model/policy.ts';
import type { RewardModel } from '../model/reward_model.ts';
import { assembleWeights, isLinearWeight, weightShapes } from '../model/weights.ts';
import { type Capacities, Workspace } from '../model/workspace.ts';
import { readStates } from './checkpoint.ts';
import { TRAIN_DEFAULTS } from './config.ts';
import { dpoGradients, dpoWidth, type PreferencePair } from './dpo.ts';
import { referenceOf } from './on_policy.ts';
import { GRPO_DEFAULTS } from './on_policy_config.ts';
import { Optimizer } from './optimizer.ts';
import { grpoGradients, grpoWidth } from './policy_gradient.ts';
import { StepRecorder, type Window } from './recorder.ts';
import { type RewardPair, rewardGradients, rewardTrainable, rewardWidth } from './reward.ts';
import type { Rollout } from './rollouts.ts';
import { sftGradients, sftWidth } from './sft.ts';
import { adapterTrainable, type Trainable, weightsTrainable } from './trainable.ts';
import { DPO_DEFAULTS, STEPS_PER_READ } from './trainer.ts';

/** A policy without its weights. */
export interface SizedModel {
  readonly config: LlamaConfig;
  readonly device: SizedDevice;
  /** The adapter that is trained; without it, all weights are. */
  readonly lora?: LoraConfig;
  /** What the weights of linear layers, and of the embedding and the head, are held as; f32 by default. */
  readonly formats?: { readonly linear: Tensor['dtype']; readonly embedding: Tensor['dtype'] };
  /** Longest sequence. */
  readonly maxLength: number;
}

export interface Phase {
  /** Most bytes held at a time, weights included. */
  readonly peak: number;
  readonly items: ReadonlyMap<string, number>;
  /** What its workspace comes to. */
  readonly capacities: Capacities;
}

/** The device of a policy's engine. */
export function sizedDevice({ info, limits }: Engine): SizedDevice {
  if (info.engine === 'cpu') return 'cpu';
  return {
    maxBufferSize: limits.tensor,
    maxStorageBufferBindingSize: limits.tensor,
    software: runsOnCpu(info),
    total: limits.total,
  };
}

/** What sizing needs to know of a policy that is there. */
export function sizedModel(policy: Policy, lora?: LoraConfig): SizedModel {
  return {
    config: policy.config,
    device: sizedDevice(policy.engine),
    lora,
    formats: {
      linear: policy.weights.blocks[0].linears.q_proj.dtype,
      embedding: policy.weights.embedding.dtype,
    },
    maxLength: policy.maxLength,
  };
}

async function sizedPolicy({ config, device, formats, maxLength }: SizedModel): Promise<Policy> {
  const engine: Engine = createSizingEngine(device);
  const shapes = weightShapes(config);
  const weights = await assembleWeights(config, async (key) => {
    const shape = shapes.get(key)!;
    const format = isLinearWeight(key) ? formats?.linear : formats?.embedding;
    if (shape.length < 2 || !format || format === 'f32' || format === 'u32') return engine.tensor(shape);
    return engine.uploadWeights(new Uint8Array(0), shape, format);
  });
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

/** Bytes that a model's weights take on a device. */
export async function weightBytes(
  device: SizedDevice,
  { config, formats, maxLength }: Pick<SizedModel, 'config' | 'formats' | 'maxLength'>,
): Promise<number> {
  return (await sizedPolicy({ config, device, formats, maxLength })).engine.memory().live;
}

export interface SamplingSizes {
  /** Longest prompt and longest response, in tokens. */
  readonly promptTokens: number;
  readonly newTokens: number;
  /** Responses to a prompt. */
  readonly responses: number;
  /** 1, no penalty, by default; else it takes a copy of the logits. */
  readonly repetitionPenalty?: number;
  /** Policies that draw each token together, with an adapter each but for the first; 1 by default. */
  readonly parts?: number;
}

/** What a training on what it draws holds meanwhile: gradients and AdamW's moments, and, where it needs one, a reference. */
export interface TrainingState {
  readonly reference: boolean;
}

/** Of policy gradients, with the weight of the divergence from the reference. */
export interface RolloutSizes extends SamplingSizes {
  readonly beta: number;
}

/**
 * Sampling so many responses at once from the aligned policy, as evaluation does, or, `training`, from the policy that
 * learns from them.
 */
export async function sizeSampling(
  model: SizedModel,
  { promptTokens, newTokens, responses, repetitionPenalty = 1, parts = 1 }: SamplingSizes,
  batch: number,
  training?: TrainingState,
): Promise<Phase> {
  const policy = await sizedPolicy(model);
  const { engine } = policy;
  const weights = engine.memory().live;
  const adapters = Array.from({ length: model.lora ? Math.max(1, parts - 1) : 0 }, () => {
    return new Adapter(engine, model.config, model.lora!);
  });
  if (training) {
    policy.adapter = adapters[0];
    new Optimizer(engine, policyTrainable(policy), TRAIN_DEFAULTS);
    if (training.reference) referenceOf(policy);
  }
  const held = engine.memory().live;
  const merged = adapters.map((adapter) => mergeAdapter(policy, adapter).weights);
  const copies = engine.memory().live - (training ? held : weights);
  const mixed = parts > 1 ? [policy.weights, ...merged] : [merged[0] ?? policy.weights];
  const rows = Array.from({ length: batch }, (_, row) => {
    const ids = new Array<number>(promptTokens).fill(0);
    // Prompts that differ, each of so many responses.
    ids[0] = Math.floor(row / responses);
    return { ids, stream: [0, row] as const };
  });
  const settings = {
    maxNewTokens: newTokens,
    temperature: 1,
    topK: 0,
    topP: 1,
    repetitionPenalty,
    key: [0, 0] as const,
    eosIds: [],
  };
  const mixture = mixed.map((each) => ({ weights: each, factor: 1 }));
  const decoder = new Decoder({ ...policy, adapter: undefined }, rows, settings, mixture);
  for (let step = 0; step < Math.min(2, newTokens); step++) decoder.step();
  await decoder.read();
  const cache = sizeOf(policy.workspace, /^(key|value)Cache\./);
  const rest = sizeOf(policy.workspace, /^(?!(key|value)Cache\.)/);
  return {
    peak: engine.memory().peak,
    capacities: policy.workspace.capacities(),
    items: new Map([
      ['weights', weights],
      ...(copies > 0 ? [['sampling: weights with LoRA added', copies] as const] : []),
      ['sampling: keys and values', cache],
      ['sampling: activations and logits', rest],
    ]),
  };
}

/** Log-probabilities of so many sequences of so many tokens at once, of all tokens but the first. */
export async function sizeLogps(model: SizedModel, sequences: number, tokens: number): Promise<Phase> {
  const policy = await sizedPolicy(model);
  const { engine } = policy;
  const weights = engine.memory().live;
  if (model.lora) policy.adapter = new Adapter(engine, model.config, model.lora);
  const completions = Array.from({ length: sequences }, () => ({
    promptIds: [0],
    completionIds: new Array<number>(Math.max(1, tokens - 1)).fill(0),
  }));
  await sequenceLogps(policy, completions, { batchTokens: sequences * tokens });
  return {
    peak: engine.memory().peak,
    capacities: policy.workspace.capacities(),
    items: new Map([
      ['weights', weights],
      ['log-probabilities', engine.memory().peak - weights],
    ]),
  };
}

/** Choices of a training step that no bit of a LoRA adapter depends on. */
export interface StepChoice {
  readonly gradient_checkpointing: boolean;
  /** How much of the logits is there at a time; see `HeadLimits`. */
  readonly head?: HeadLimits;
}

/** The batches of a training that take most memory, and how many of them are read together. */
export interface SizedBatches<T> {
  readonly learned: readonly (readonly T[])[];
  /** Of what is held out: they go forward alone. */
  readonly held?: readonly (readonly T[])[];
  /** Batches of a step, and of all that is held out; 1 by default. */
  readonly perStep?: number;
  readonly perEvaluation?: number;
}

/** Steps of DPO on these batches of pairs, each of which goes through the model at once. */
export function sizeDpo(
  model: SizedModel,
  batches: SizedBatches<PreferencePair>,
  choice: StepChoice,
): Promise<Phase> {
  return sizeStep(model, choice, batches, dpoWidth, {
    trainableOf: policyTrainable,
    record(policy, pairs, out, pass) {
      const zeros = new Float32Array(pairs.length);
      dpoGradients(policy, pairs, { chosen: zeros, rejected: zeros }, DPO_DEFAULTS, 1, out, pass);
    },
  });
}

/** A step of policy gradients on so many completions of these sizes; with beta 0 there is no reference. */
export function sizeRollouts(
  model: SizedModel,
  { promptTokens, newTokens, beta }: RolloutSizes,
  completions: number,
  choice: StepChoice,
  perStep = 1,
): Promise<Phase> {
  const config = { ...GRPO_DEFAULTS, max_completion_length: newTokens, beta };
  const zeros = new Float32Array(newTokens);
  const rollout = {
    promptIds: new Array<number>(promptTokens).fill(0),
    completionIds: new Array<number>(newTokens).fill(0),
    counts: true,
    oldLogps: zeros,
    refLogps: zeros,
  } as unknown as Rollout;
  const rows = Array.from({ length: completions }, () => ({ rollout, advantage: 0 }));
  return sizeStep(model, choice, { learned: [rows], perStep }, (count) => grpoWidth(config, count), {
    trainableOf: policyTrainable,
    record(policy, drawn, out, pass) {
      const slice = { rows: drawn, tokensDrawn: completions * newTokens };
      grpoGradients(policy, slice, config, { slices: 1, fresh: false }, out, pass!);
    },
    withReference: beta > 0,
  });
}

/** Steps of supervised fine-tuning on these batches of completions. */
export function sizeSft(
  model: SizedModel,
  batches: SizedBatches<Completion>,
  choice: StepChoice,
): Promise<Phase> {
  return sizeStep(model, choice, batches, sftWidth, {
    trainableOf: policyTrainable,
    record: (policy, completions, out, pass) => sftGradients(policy, completions, 1, out, pass),
  });
}

/** Steps of a reward model on these batches of pairs; its configuration has a score head. */
export function sizeReward(
  model: SizedModel,
  batches: SizedBatches<RewardPair>,
  choice: StepChoice,
): Promise<Phase> {
  return sizeStep(model, choice, batches, rewardWidth, {
    trainableOf: (policy) => rewardTrainable(policy as RewardModel),
    // The term that centres the scores takes memory of its own.
    record: (policy, pairs, out, pass) => rewardGradients(policy as RewardModel, pairs, 1, 1, out, pass),
  });
}

function policyTrainable(policy: Policy): Trainable {
  return policy.adapter ? adapterTrainable(policy.adapter) : weightsTrainable(policy);
}

/** What differs between the trainings that are sized. */
interface SizedKind<T> {
  trainableOf(policy: Policy): Trainable;
  record(policy: Policy, batch: readonly T[], out: Window, pass: TrainPass | undefined): void;
  readonly withReference?: boolean;
}

async function sizeStep<T>(
  model: SizedModel,
  choice: StepChoice,
  batches: SizedBatches<T>,
  widthOf: (size: number) => number,
  kind: SizedKind<T>,
): Promise<Phase> {
  const first = await sizeWith(new Map(), model, choice, batches, widthOf, kind);
  const count = batches.learned.length + (batches.held?.length ?? 0);
  // One batch makes every buffer as large as it will be; after several that is known, and begun with.
  return count === 1 ? first : await sizeWith(first.capacities, model, choice, batches, widthOf, kind);
}

async function sizeWith<T>(
  capacities: Capacities,
  model: SizedModel,
  { gradient_checkpointing: checkpointing, head }: StepChoice,
  { learned, held = [], perStep = 1, perEvaluation = 1 }: SizedBatches<T>,
  widthOf: (size: number) => number,
  { trainableOf, record, withReference = false }: SizedKind<T>,
): Promise<Phase> {
  const loaded = await sizedPolicy(model);
  const { engine } = loaded;
  const policy: Policy = { ...loaded, headLimits: head, workspace: new Workspace(engine, capacities) };
  if (model.lora) policy.adapter = new Adapter(engine, model.config, model.lora);
  const before = engine.memory().live;
  if (withReference) referenceOf(policy);
  const copy = engine.memory().live - before;
  const trainable = trainableOf(policy);
  const optimizer = new Optimizer(engine, trainable, TRAIN_DEFAULTS);
  const width = widthOf([...learned, ...held].reduce((most, { length }) => Math.max(most, length), 1));
  const recorder = new StepRecorder(engine, STEPS_PER_READ, perStep, width);
  const rate = model.lora?.lora_dropout ?? 0;
  const dropout = rate > 0 ? { rate, key: [0, 0] as const, step: 0 } : undefined;
  for (const batch of learned) {
    record(policy, batch, recorder.window(0), { ...trainable.pass, dropout, checkpointing });
    optimizer.update(1, 1, recorder.gradSquares());
    engine.flush();
  }
  recorder.close(perStep);
  await recorder.read();
  if (held.length > 0) {
    const evaluation = new StepRecorder(engine, 1, perEvaluation, width);
    for (const batch of held) {
      record(policy, batch, evaluation.window(0), undefined);
      engine.flush();
    }
    evaluation.close(perEvaluation);
    await evaluation.read();
  }
  await readStates(engine, optimizer, () => {});
  let parameters = 0;
  for (const group of trainable.groups) {
    parameters += 4 * group.parameters.shape.reduce((product, size) => product * size, 1);
  }
  const logits = sizeOf(policy.workspace, /^logits$/);
  const rest = sizeOf(policy.workspace, /^(?!logits$)/);
  return {
    peak: engine.memory().peak,
    capacities: policy.workspace.capacities(),
    items: new Map([
      model.lora ? ['LoRA and its gradients', 2 * parameters] : ['gradients of all weights', parameters],
      ['AdamW', 2 * parameters],
      ...(copy > 0 ? [['the reference', copy] as const] : []),
      ['training: logits', logits],
      ['training: activations and gradients', rest],
    ]),
  };
}

/** Pairs of so many different responses, as a batch of training has them. */
export function pairsOf(
  { promptTokens, newTokens }: Pick<SamplingSizes, 'promptTokens' | 'newTokens'>,
  responses: number,
): PreferencePair[] {
  const response = (first: number) => [first, ...new Array<number>(newTokens - 1).fill(0)];
  return Array.from({ length: Math.ceil(responses / 2) }, (_, i) => ({
    promptIds: new Array<number>(promptTokens).fill(0),
    chosenIds: response(2 * i),
    rejectedIds: response(Math.min(2 * i + 1, responses - 1)),
  }));
}

function sizeOf(workspace: Workspace, names: RegExp): number {
  let sum = 0;
  for (const [name, bytes] of workspace.sizes()) if (names.test(name)) sum += bytes;
  return sum;
}
