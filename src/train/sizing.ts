/** The phases of a run on an engine that only counts: what each comes to hold, by its own code. */
import type { Engine, Tensor } from '../engine/engine.ts';
import { createSizingEngine, type SizedDevice } from '../engine/sizing.ts';
import type { LlamaConfig } from '../model/config.ts';
import { Decoder } from '../model/decoder.ts';
import type { Completion, HeadLimits } from '../model/head.ts';
import type { TrainPass } from '../model/llama.ts';
import { Adapter, type LoraConfig, mergeAdapter } from '../model/lora.ts';
import type { Policy } from '../model/policy.ts';
import type { RewardModel } from '../model/reward_model.ts';
import { assembleWeights, isLinearWeight, weightShapes } from '../model/weights.ts';
import { Workspace } from '../model/workspace.ts';
import { TRAIN_DEFAULTS } from './config.ts';
import { dpoGradients, dpoWidth, type PreferencePair } from './dpo.ts';
import { referenceOf } from './on_policy.ts';
import { GRPO_DEFAULTS } from './on_policy_config.ts';
import { Optimizer } from './optimizer.ts';
import { grpoGradients, grpoWidth } from './policy_gradient.ts';
import { aligned, type Window } from './recorder.ts';
import { type RewardPair, rewardGradients, rewardTrainable, rewardWidth } from './reward.ts';
import type { Rollout } from './rollouts.ts';
import { sftGradients, sftWidth } from './sft.ts';
import { adapterTrainable, type Trainable, weightsTrainable } from './trainable.ts';
import { DPO_DEFAULTS } from './trainer.ts';

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
}

/** The device of a policy's engine. */
export function sizedDevice({ info, limits }: Engine): SizedDevice {
  if (info.engine === 'cpu') return 'cpu';
  return { maxBufferSize: limits.tensor, maxStorageBufferBindingSize: limits.tensor };
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

export interface SamplingSizes {
  /** Longest prompt and longest response, in tokens. */
  readonly promptTokens: number;
  readonly newTokens: number;
  /** Responses to a prompt. */
  readonly responses: number;
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
  { promptTokens, newTokens, responses }: SamplingSizes,
  batch: number,
  training?: TrainingState,
): Promise<Phase> {
  const frozen = await sizedPolicy(model);
  const { engine } = frozen;
  const weights = engine.memory().live;
  if (model.lora) frozen.adapter = new Adapter(engine, model.config, model.lora);
  if (training) {
    new Optimizer(engine, policyTrainable(frozen), TRAIN_DEFAULTS);
    if (training.reference) referenceOf(frozen);
  }
  const held = engine.memory().live;
  const merged = frozen.adapter ? mergeAdapter(frozen, frozen.adapter) : frozen;
  const policy = { ...frozen, weights: merged.weights };
  const copies = engine.memory().live - (training ? held : weights);
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
  return {
    peak: policy.engine.memory().peak,
    items: new Map([
      ['weights', weights],
      ...(copies > 0 ? [['sampling: weights with LoRA added', copies] as const] : []),
      ['sampling: keys and values', cache],
      ['sampling: activations and logits', rest],
    ]),
  };
}

/** Choices of a training step that no bit of a LoRA adapter depends on. */
export interface StepChoice {
  readonly gradient_checkpointing: boolean;
  /** How much of the logits is there at a time; see `HeadLimits`. */
  readonly head?: HeadLimits;
}

/** A step of DPO on these pairs, which go through the model at once. */
export function sizeDpo(
  model: SizedModel,
  pairs: readonly PreferencePair[],
  choice: StepChoice,
): Promise<Phase> {
  const p = pairs.length;
  const reference = { chosen: new Float32Array(p), rejected: new Float32Array(p) };
  return sizeStep(model, choice, dpoWidth(p), policyTrainable, (policy, out, pass) =>
    dpoGradients(policy, pairs, reference, DPO_DEFAULTS, 1, out, pass),
  );
}

/** A step of policy gradients on so many completions of these sizes; with beta 0 there is no reference. */
export function sizeRollouts(
  model: SizedModel,
  { promptTokens, newTokens, beta }: RolloutSizes,
  completions: number,
  choice: StepChoice,
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
  const slice = { rows, tokensDrawn: completions * newTokens };
  const width = grpoWidth(config, completions);
  const record = (policy: Policy, out: Window, pass: TrainPass) =>
    grpoGradients(policy, slice, config, { slices: 1, fresh: false }, out, pass);
  return sizeStep(model, choice, width, policyTrainable, record, beta > 0);
}

/** A step of supervised fine-tuning on these completions. */
export function sizeSft(
  model: SizedModel,
  completions: readonly Completion[],
  choice: StepChoice,
): Promise<Phase> {
  return sizeStep(model, choice, sftWidth(completions.length), policyTrainable, (policy, out, pass) =>
    sftGradients(policy, completions, 1, out, pass),
  );
}

/** A step of a reward model on these pairs; its configuration has a score head. */
export function sizeReward(
  model: SizedModel,
  pairs: readonly RewardPair[],
  choice: StepChoice,
): Promise<Phase> {
  const trainableOf = (policy: Policy) => rewardTrainable(policy as RewardModel);
  return sizeStep(model, choice, rewardWidth(pairs.length), trainableOf, (policy, out, pass) =>
    // The term that centres the scores takes memory of its own.
    rewardGradients(policy as RewardModel, pairs, 1, 1, out, pass),
  );
}

function policyTrainable(policy: Policy): Trainable {
  return policy.adapter ? adapterTrainable(policy.adapter) : weightsTrainable(policy);
}

async function sizeStep(
  model: SizedModel,
  { gradient_checkpointing: checkpointing, head }: StepChoice,
  width: number,
  trainableOf: (policy: Policy) => Trainable,
  record: (policy: Policy, out: Window, pass: TrainPass) => void,
  withReference = false,
): Promise<Phase> {
  const policy = { ...(await sizedPolicy(model)), headLimits: head };
  const { engine } = policy;
  if (model.lora) policy.adapter = new Adapter(engine, model.config, model.lora);
  const before = engine.memory().live;
  if (withReference) referenceOf(policy);
  const copy = engine.memory().live - before;
  const trainable = trainableOf(policy);
  const optimizer = new Optimizer(engine, trainable, TRAIN_DEFAULTS);
  const results = engine.tensor([aligned(width)]);
  const out: Window = (offset, shape) => engine.view(results, offset, shape);
  record(policy, out, { ...trainable.pass, checkpointing });
  optimizer.update(1, 1, engine.tensor([1]));
  let parameters = 0;
  for (const group of trainable.groups) {
    parameters += 4 * group.parameters.shape.reduce((product, size) => product * size, 1);
  }
  const logits = sizeOf(policy.workspace, /^logits$/);
  const rest = sizeOf(policy.workspace, /^(?!logits$)/);
  return {
    peak: engine.memory().peak,
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
