import { parseSafetensors, writeSafetensors } from '../data/safetensors.ts';
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import type { Optimizer } from './optimizer.ts';

/** All that training goes on from: the parameters, both moments and the number of steps made, as safetensors. */
export async function writeCheckpoint(
  engine: Engine,
  optimizer: Optimizer,
  step: number,
  settings: string,
): Promise<Uint8Array> {
  const shape = [optimizer.adapter.size];
  const tensors = [optimizer.adapter.parameters, optimizer.first, optimizer.second];
  const [parameters, first, second] = await Promise.all(tensors.map((tensor) => engine.read(tensor)));
  return writeSafetensors(
    [
      ['parameters', { shape, data: parameters }],
      ['first_moments', { shape, data: first }],
      ['second_moments', { shape, data: second }],
    ],
    { step: String(step), settings },
  );
}

/** The number of steps made when a checkpoint was written. */
export function checkpointStep(bytes: Uint8Array): number {
  return Number(parseSafetensors(bytes, 'checkpoint').metadata.step);
}

/** Restores a checkpoint and returns its step; it must come from training with the same settings. */
export function restoreCheckpoint(
  engine: Engine,
  optimizer: Optimizer,
  bytes: Uint8Array,
  settings: string,
): number {
  const { tensors, metadata } = parseSafetensors(bytes, 'checkpoint');
  const step = Number(metadata.step);
  if (!Number.isInteger(step) || metadata.settings === undefined) {
    throw new UserError(
      'checkpoint: expected a training checkpoint with its step and settings, got other tensors',
    );
  }
  if (metadata.settings !== settings) {
    throw new UserError(
      `checkpoint: expected the settings ${settings}, got ${metadata.settings}; ` +
        'go on with the settings it was made with, or start anew without it',
    );
  }
  const targets = {
    parameters: optimizer.adapter.parameters,
    first_moments: optimizer.first,
    second_moments: optimizer.second,
  };
  for (const [name, target] of Object.entries(targets)) {
    const tensor = tensors.get(name);
    if (tensor?.shape.join() !== String(optimizer.adapter.size)) {
      throw new UserError(
        `checkpoint: expected ${name} [${optimizer.adapter.size}], got [${tensor?.shape ?? ''}]`,
      );
    }
    engine.write(target, tensor.f32());
  }
  return step;
}
