import { parseSafetensors, type TensorData, writeSafetensors } from '../data/safetensors.ts';
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import type { GroupState, Optimizer } from './optimizer.ts';

/** The best parameters so far, by eval_loss. */
export interface Best {
  readonly loss: number;
  readonly step: number;
  /** Evaluations since then. */
  readonly waited: number;
  /** By the names of their groups. */
  readonly parameters: ReadonlyMap<string, Float32Array>;
}

/** How far a training has come: steps made, and the tokens that they learned from. */
export interface Made {
  readonly step: number;
  readonly tokens: number;
}

/** All that training goes on from: the parameters, both moments and how far it has come, as safetensors. */
export async function writeCheckpoint(
  engine: Engine,
  optimizer: Optimizer,
  { step, tokens }: Made,
  settings: string,
  best?: Best,
): Promise<Uint8Array> {
  const tensors: [string, TensorData][] = [];
  await readStates(engine, optimizer, ({ name, parameters: { shape } }, values) => {
    PARTS.forEach((part, i) => {
      tensors.push([`${name}/${part}`, { shape, data: values[i] }]);
    });
    const kept = best?.parameters.get(name);
    if (kept) tensors.push([`${name}/best`, { shape, data: kept }]);
  });
  const extra = best && { best_loss: best.loss, best_step: best.step, waited: best.waited };
  const numbers = Object.entries({ step, num_tokens: tokens, ...extra }).map(([key, value]) => [
    key,
    String(value),
  ]);
  return writeSafetensors(tensors, { ...Object.fromEntries(numbers), settings });
}

/** Bytes of a group above which its tensors are read one after the other: a read takes as much memory again. */
const LARGE = 2 ** 24;

/** Reads each group's parameters and both moments. */
export async function readStates(
  engine: Engine,
  optimizer: Optimizer,
  take: (group: GroupState, values: readonly Float32Array[]) => void,
): Promise<void> {
  for (const group of optimizer.states) {
    const { parameters, first, second } = group;
    const parts = [parameters, first, second];
    const bytes = 4 * parameters.shape.reduce((product, size) => product * size, 1);
    const values: Float32Array[] = [];
    if (bytes > LARGE) for (const part of parts) values.push(await engine.read(part));
    else values.push(...(await Promise.all(parts.map((part) => engine.read(part)))));
    take(group, values);
  }
}

const PARTS = ['parameters', 'first_moments', 'second_moments'] as const;

/** The number of steps made when a checkpoint was written. */
export function checkpointStep(bytes: Uint8Array): number {
  return Number(parseSafetensors(bytes, 'checkpoint').metadata.step);
}

/** Restores a checkpoint; it must come from training with the same settings. */
export function restoreCheckpoint(
  engine: Engine,
  optimizer: Optimizer,
  bytes: Uint8Array,
  settings: string,
): Made & { readonly best?: Best } {
  const { tensors, metadata } = parseSafetensors(bytes, 'checkpoint');
  const [step, tokens] = [metadata.step, metadata.num_tokens].map(Number);
  if (!Number.isInteger(step) || !Number.isInteger(tokens) || metadata.settings === undefined) {
    throw new UserError(
      'checkpoint: expected a training checkpoint with its step, tokens and settings, got other tensors',
    );
  }
  if (metadata.settings !== settings) {
    throw new UserError(
      `checkpoint: expected the settings ${settings}, got ${metadata.settings}; ` +
        'go on with the settings it was made with, or start anew without it',
    );
  }
  const kept = new Map<string, Float32Array>();
  for (const { name, parameters, first, second } of optimizer.states) {
    [parameters, first, second].forEach((target, i) => {
      const tensor = tensors.get(`${name}/${PARTS[i]}`);
      if (tensor?.shape.join() !== target.shape.join()) {
        throw new UserError(
          `checkpoint: expected ${name}/${PARTS[i]} [${target.shape}], got [${tensor?.shape ?? ''}]`,
        );
      }
      engine.write(target, tensor.f32());
    });
    const best = tensors.get(`${name}/best`);
    if (best) kept.set(name, best.f32());
  }
  if (metadata.best_step === undefined) return { step, tokens };
  const { best_loss, best_step, waited } = metadata;
  return {
    step,
    tokens,
    best: { loss: Number(best_loss), step: Number(best_step), waited: Number(waited), parameters: kept },
  };
}
