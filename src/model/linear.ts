import type { Engine, Tensor } from '../engine/engine.ts';
import type { LoraPair } from './lora.ts';
import type { Workspace } from './workspace.ts';

/** A linear layer with its factors, if it has any: y = x·Wᵀ + b + scale·(x·Aᵀ)·Bᵀ. */
export interface Linear {
  /** `[out, in]` */
  readonly weight: Tensor;
  /** `[out]` */
  readonly bias: Tensor | undefined;
  readonly lora: LoraPair | undefined;
  readonly scale: number;
}

/**
 * out `[n, out]` = layer(x `[n, in]`); with `accumulate`, adds to out. `name` is the buffer that keeps x·Aᵀ, which
 * the backward pass reads.
 */
export function linearForward(
  engine: Engine,
  workspace: Workspace,
  name: string,
  out: Tensor,
  x: Tensor,
  { weight, bias, lora, scale }: Linear,
  accumulate = false,
): void {
  engine.matmul(out, x, weight, { transposeB: true, accumulate });
  if (bias) engine.addBias(out, bias);
  if (!lora) return;
  const low = workspace.take(`${name}.low`, [x.shape[0], lora.a.shape[0]]);
  engine.matmul(low, x, lora.a, { transposeB: true });
  engine.matmul(out, low, lora.b, { transposeB: true, scale, accumulate: true });
}

/**
 * Adds the gradients of the factors, given dout `[n, out]` and the x of the forward pass. Where `dinp` `[n, in]` is
 * given it is overwritten with the gradient of x, or added to with `accumulate`.
 */
export function linearBackward(
  engine: Engine,
  workspace: Workspace,
  name: string,
  dinp: Tensor | undefined,
  dout: Tensor,
  x: Tensor,
  { weight, lora, scale }: Linear,
  accumulate = false,
): void {
  if (dinp) engine.matmul(dinp, dout, weight, { accumulate });
  if (!lora) return;
  const shape = [x.shape[0], lora.a.shape[0]];
  const low = workspace.take(`${name}.low`, shape);
  const dlow = workspace.take('dlow', shape);
  engine.matmul(lora.gradB, dout, low, { transposeA: true, scale, accumulate: true });
  engine.matmul(dlow, dout, lora.b, { scale });
  engine.matmul(lora.gradA, dlow, x, { transposeA: true, accumulate: true });
  if (dinp) engine.matmul(dinp, dlow, lora.a, { accumulate: true });
}
