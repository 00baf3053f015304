import { UserError } from '../errors.ts';
import { type Json, show } from './families.ts';

/** How positions turn into angles: position · frequency, frequency i of d / 2 being θ^(−2i/d) before scaling. */
export interface RopeConfig {
  readonly theta: number;
  readonly scaling: RopeScaling | undefined;
}

/**
 * `linear` divides every frequency by `factor` (Chen et al. 2023). `llama3` does so with wavelengths above
 * originalPositions / lowFactor, leaves those below originalPositions / highFactor, and goes from one to the other in
 * between (Llama 3.1).
 */
export type RopeScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFactor: number;
      readonly highFactor: number;
      readonly originalPositions: number;
    };

const KEYS: Readonly<Record<string, readonly string[]>> = {
  default: [],
  linear: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'],
};

/**
 * The settings of rotary embedding in config.json: rope_theta and rope_scaling, or, since version 5 of transformers,
 * both in rope_parameters.
 */
export function parseRope(json: Json, maxPositions: number, name: string): RopeConfig {
  const field = json.rope_parameters ? 'rope_parameters' : 'rope_scaling';
  const given = json[field] ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) {
    throw new UserError(`${name}: expected ${field} as an object, got ${show(given)}`);
  }
  const settings = given as Json;
  const type = settings.rope_type ?? settings.type ?? 'default';
  const keys = typeof type === 'string' && Object.hasOwn(KEYS, type) ? KEYS[type] : undefined;
  if (!keys) {
    const expected = Object.keys(KEYS).join(', ');
    throw new UserError(
      `${name}: ${field} with rope_type ${show(type)} is not supported; expected one of ${expected}`,
    );
  }
  for (const [key, value] of Object.entries(settings)) {
    const known = [...keys, 'rope_type', 'type', 'rope_theta', 'original_max_position_embeddings'];
    if (known.includes(key) || value === null) continue;
    if (key === 'partial_rotary_factor' && value === 1) continue;
    throw new UserError(
      `${name}: ${field}.${key} ${show(value)} is not supported with rope_type "${type}"; ` +
        'remove it from config.json if it does not change what the model computes',
    );
  }
  const positive = (key: string, value: unknown): number => {
    if (typeof value === 'number' && value > 0 && value < Infinity) return value;
    throw new UserError(`${name}: expected ${key} as a positive number, got ${show(value)}`);
  };
  const number = (key: string) => positive(`${field}.${key}`, settings[key]);
  const theta = positive('rope_theta', settings.rope_theta ?? json.rope_theta ?? 10000);
  if (type === 'linear') return { theta, scaling: { type, factor: number('factor') } };
  if (type !== 'llama3') return { theta, scaling: undefined };
  const original = settings.original_max_position_embeddings ?? maxPositions;
  const scaling = {
    type: 'llama3' as const,
    factor: number('factor'),
    lowFactor: number('low_freq_factor'),
    highFactor: number('high_freq_factor'),
    originalPositions: positive(`${field}.original_max_position_embeddings`, original),
  };
  if (scaling.highFactor <= scaling.lowFactor) {
    throw new UserError(
      `${name}: expected ${field}.high_freq_factor above low_freq_factor, got ${scaling.highFactor} and ${scaling.lowFactor}`,
    );
  }
  return { theta, scaling };
}
