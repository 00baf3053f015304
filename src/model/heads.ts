/** Queries and keys between their projection and attention: normalised head by head in some families, then rotated. */
import type { Tensor } from '../engine/engine.ts';
import type { Llama } from './llama.ts';
import { normBackward } from './norm.ts';

type Take = (name: string, shape: number[]) => Tensor;

/** Name of the buffer that the projection of queries or keys writes. */
export function projectionOf({ config }: Llama, name: 'q' | 'k'): string {
  return config.queryKeyNorm ? `${name}.raw` : name;
}

function partOf({ config, weights }: Llama, block: number, name: 'q' | 'k') {
  const { queryNorm, keyNorm } = weights.blocks[block];
  return name === 'q'
    ? { heads: config.heads, norm: queryNorm }
    : { heads: config.keyValueHeads, norm: keyNorm };
}

/** From the projection's buffer to the one that attention reads, `name`; of `n` rows at `positions` u32 `[n]`. */
export function headsForward(
  model: Llama,
  block: number,
  name: 'q' | 'k',
  positions: Tensor,
  take: Take,
): void {
  const { engine, config, rope } = model;
  const { heads, norm } = partOf(model, block, name);
  const n = positions.shape[0];
  if (norm) {
    const rows = [n * heads, config.headDim];
    engine.rmsnorm(take(name, rows), take(`${name}.raw`, rows), norm, config.rmsNormEpsilon);
  }
  if (config.rotary[block]) {
    engine.rope(take(name, [n, heads, config.headDim]), rope.cos, rope.sin, positions);
  }
}

/**
 * From the gradient of what attention read, in the scratch buffer `d…`, to that of the projection, which is returned:
 * `[n, heads · head_dim]`. Adds to dnorm `[head_dim]`, where it is given, the gradient of the norm's weight.
 */
export function headsBackward(
  model: Llama,
  block: number,
  name: 'q' | 'k',
  positions: Tensor,
  kept: Take,
  scratch: Take,
  dnorm: Tensor | undefined,
): Tensor {
  const { engine, config, rope } = model;
  const { heads, norm } = partOf(model, block, name);
  const n = positions.shape[0];
  if (config.rotary[block]) {
    engine.rope(scratch(`d${name}`, [n, heads, config.headDim]), rope.cos, rope.sin, positions, true);
  }
  if (!norm) return scratch(`d${name}`, [n, heads * config.headDim]);
  const rows = [n * heads, config.headDim];
  const raw = scratch(`d${name}.raw`, rows);
  engine.zero(raw);
  normBackward(model, raw, scratch(`d${name}`, rows), kept(`${name}.raw`, rows), norm, dnorm);
  return scratch(`d${name}.raw`, [n, heads * config.headDim]);
}
