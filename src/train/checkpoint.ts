import { parseSafetensors, type TensorData, writeSafetensors } from '../data/safetensors.ts';
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import type { Optimizer } from './optimizer.ts';

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
  for (const { name, parameters, first, second } of optimizer.states) {
    const parts = [parameters, first, second].map((tensor) => engine.read(tensor));
    const values = await Promise.all(parts);
    PARTS.forEach((part, i) => {
      tensors.push([`${name}/${part}`, { shape: parameters.shape, data: values[i] }]);
    });
    const kept = best?.parameters.get(name);
    if (kept) tensors.push([`${name}/best`, { shape: parameters.shape, data: kept }]);
  }
  const extra = best && { best_loss: best.loss, best_step: best.step, waited: best.waited };
  const numbers = Object.entries({ step, num_tokens: tokens, ...extra }).map(([key, value]) => [
    key,
    String(value),
  ]);
  return writeSafetensors(tensors, { ...Object.fromEntries(numbers), settings });
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
