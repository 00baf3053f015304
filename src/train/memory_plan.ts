import { createSizingEngine, type SizedDevice } from '../engine/sizing.ts';
import { UserError } from '../errors.ts';
import { HEAD_LIMITS } from '../model/head.ts';
import { DEFAULT_BATCH_TOKENS } from '../model/logps.ts';
import {
  type Phase,
  pairsOf,
  type SamplingSizes,
  type SizedModel,
  type StepChoice,
  sizeDpo,
  sizeLogps,
  sizeRollouts,
  sizeSampling,
  type TrainingState,
} from './sizing.ts';

export interface MemoryNeeds extends Omit<SizedModel, 'maxLength'>, SamplingSizes {
  /** Responses sampled at once. */
  readonly generationBatch: number;
  /** Different responses in a batch of training. */
  readonly trainBatch: number;
  /** Policy gradients with this weight of the divergence from the reference, in place of DPO. */
  readonly onPolicy?: { readonly beta: number };
  /** Whether training is to compute each block again in the backward pass, though there were room. */
  readonly gradientCheckpointing?: boolean;
  /** Most bytes to use, where the device does not say or has more. */
  readonly limit?: number;
  /** Bytes that others hold of them. */
  readonly taken?: number;
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
  /** Whether that training batch takes it that blocks are computed again. */
  readonly gradientCheckpointing: boolean;
}

/**
 * What a run would hold where: its own code, run on an engine that only counts. Sampling and training are halved until
 * they fit; before that, training computes blocks again and takes its logits in smaller parts.
 *
 * @throws UserError when not even one response fits.
 */
export async function planMemory(needs: MemoryNeeds): Promise<MemoryPlan> {
  const { onPolicy } = needs;
  const most = mostOf(needs) - (needs.taken ?? 0);
  const longest = needs.promptTokens + needs.newTokens;
  const device = roomyDevice(needs.device, most);
  const model = { ...needs, device, maxLength: Math.max(longest, Math.min(needs.config.maxPositions, 8192)) };
  const whole = needs.lora === undefined;
  const size = (batch: number) =>
    sizeSampling(model, needs, batch, onPolicy && { reference: onPolicy.beta > 0 });
  const sampling = await largest('sampling', needs.generationBatch, most, size, whole);
  let choice: StepChoice | undefined;
  const training = await largest(
    'training',
    needs.trainBatch,
    most,
    async (batch) => {
      const found = await leastChange(needs.gradientCheckpointing ?? false, most, (each) =>
        onPolicy
          ? sizeRollouts(model, { ...needs, ...onPolicy }, batch, each)
          : sizeDpo(model, { learned: [pairsOf(needs, batch)] }, each),
      );
      choice = found.choice;
      return found.phase;
    },
    whole,
  );
  const items = new Map([...sampling.phase.items, ...training.phase.items]);
  return {
    items: Array.from(items, ([name, bytes]) => ({ name, bytes })),
    sampling: sampling.phase.peak,
    training: training.phase.peak,
    limit: Number.isFinite(most) ? most : undefined,
    generationBatch: sampling.batch,
    trainBatch: training.batch,
    gradientCheckpointing: choice!.gradient_checkpointing,
  };
}

/** A model, and the most bytes that it may come to hold with all that it does. */
export interface Space {
  readonly model: SizedModel;
  readonly most: number;
}

/**
 * The most responses, up to `asked`, that a model can sample at once, and the bytes that it then holds; prompts and responses
 * in tokens. Without `lora` it has no adapter; `training` is given where it learns from them, whose state is then held too.
 *
 * @throws UserError when not even one response fits.
 */
export async function fitSampling(
  { model, most }: Space,
  { asked, ...sizes }: SamplingSizes & { readonly asked: number },
  training?: TrainingState,
): Promise<{ readonly batch: number; readonly bytes: number }> {
  const { batch, phase } = await largest('sampling', asked, most, (size) =>
    sizeSampling(model, sizes, size, training),
  );
  return { batch, bytes: phase.peak };
}

/**
 * Bytes held while scoring sequences of at most so many tokens, as many at once as there is room for.
 *
 * @throws UserError when not even one fits.
 */
export async function fitLogps({ model, most }: Space, tokens: number): Promise<number> {
  const sequences = Math.max(1, Math.floor(DEFAULT_BATCH_TOKENS / tokens));
  const { phase } = await largest('scoring', sequences, most, (size) => sizeLogps(model, size, tokens));
  return phase.peak;
}

/** Most bytes that a device may hold; Infinity where nobody says. */
export function mostOf({ device, limit }: Pick<MemoryNeeds, 'device' | 'limit'>): number {
  return Math.min(createSizingEngine(device).limits.total ?? Infinity, limit ?? Infinity);
}

/** The device, told how much may be held on it. */
export function roomyDevice(device: SizedDevice, most: number): SizedDevice {
  if (device === 'cpu' || most === Infinity) return device;
  const { maxBufferSize, maxStorageBufferBindingSize, software } = device;
  return { maxBufferSize, maxStorageBufferBindingSize, software, total: most };
}

/** Parts of the logits that a step takes where memory is short. */
const SMALL_PARTS = { ...HEAD_LIMITS, rows: 256 };

/** The first way of a step that fits, from the fastest on; else the smallest. */
export async function leastChange(
  checkpointing: boolean,
  most: number,
  size: (choice: StepChoice) => Promise<Phase>,
): Promise<{ readonly choice: StepChoice; readonly phase: Phase }> {
  const choices: StepChoice[] = [
    ...(checkpointing ? [] : [{ gradient_checkpointing: false }]),
    { gradient_checkpointing: true },
    { gradient_checkpointing: true, head: SMALL_PARTS },
  ];
  let smallest: { choice: StepChoice; phase: Phase } | undefined;
  let refusal: unknown;
  for (const choice of choices) {
    try {
      const phase = await size(choice);
      if (phase.peak <= most) return { choice, phase };
      if (!smallest || phase.peak < smallest.phase.peak) smallest = { choice, phase };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      refusal = error;
    }
  }
  if (!smallest) throw refusal;
  return smallest;
}

async function largest(
  what: string,
  asked: number,
  most: number,
  size: (batch: number) => Promise<Phase>,
  whole = false,
): Promise<{ batch: number; phase: Phase }> {
  for (let batch = asked; ; batch = Math.floor(batch / 2)) {
    let reason: string;
    try {
      const phase = await size(batch);
      if (phase.peak <= most) return { batch, phase };
      reason = `${what} takes ${mebibytes(phase.peak)} MiB, more than ${Math.floor(most / 2 ** 20)} MiB`;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      reason = `${what}: ${error.what}`;
    }
    if (batch === 1) throw new UserError(`memory: with one response at a time, ${reason}`, 2, mends(whole));
  }
}

/** What helps where memory is short; where `whole` weights are trained, they are so in float32. */
export function mends(whole: boolean): readonly string[] {
  return [
    whole ? 'train LoRA, without --full' : 'use --dtype bfloat16 or nf4',
    'use shorter prompts and responses',
    'use a smaller model',
    'allow more with --memory',
  ];
}

export function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
