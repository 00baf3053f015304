/** The gradient of RMSNorm, with that of its weight where it is trained. */
import type { Tensor } from '../engine/engine.ts';
import type { Llama } from './llama.ts';

/** Puts the vectors of ones that `normBackward` multiplies with; once before a backward pass. */
export function prepareNormGradients({ workspace, config }: Llama): void {
  for (const size of new Set([config.hiddenSize, config.headDim])) {
    workspace.put(`ones.${size}`, new Float32Array(size).fill(1));
  }
}

/** Adds to dinp `[n, d]` the gradient of x, and to dweight `[d]`, where it is given, that of the weight. */
export function normBackward(
  { engine, workspace, config }: Llama,
  dinp: Tensor,
  dout: Tensor,
  x: Tensor,
  weight: Tensor,
  dweight: Tensor | undefined,
): void {
  engine.rmsnormBackward(dinp, dout, x, weight, config.rmsNormEpsilon);
  if (!dweight) return;
  const [size] = dweight.shape;
  const unit = workspace.take('unit', x.shape);
  engine.rmsnorm(unit, x, workspace.take(`ones.${size}`, [size]), config.rmsNormEpsilon);
  engine.columnProducts(dweight, dout, unit);
}
