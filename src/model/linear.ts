import type { DropoutOptions, Engine, Tensor } from '../engine/engine.ts';
import type { LoraPair } from './lora.ts';
import type { Workspace } from './workspace.ts';

/** A linear layer with its factors, if it has any: y = x·Wᵀ + b + scale·(drop(x)·Aᵀ)·Bᵀ. */
export interface Linear {
  /** `[out, in]` */
  readonly weight: Tensor;
  /** `[out]` */
  readonly bias: Tensor | undefined;
  readonly lora: LoraPair | undefined;
  readonly scale: number;
  /** Where the gradient of the weight itself is added, `[out, in]`. */
  readonly gradient?: Tensor;
  /** Where the gradient of the bias is added, `[out]`. */
  readonly biasGradient?: Tensor;
  /** What the factors see of x in training. */
  readonly dropout?: LayerDropout;
  /** Whether x is made of the last token of each row alone. */
  readonly decoding?: boolean;
}

export interface LayerDropout {
  /** u32 `[n]` */
  readonly streams: Tensor;
  readonly options: DropoutOptions;
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
  linear: Linear,
  accumulate = false,
): void {
  const { weight, bias, lora, scale, decoding: fewRows } = linear;
  engine.matmul(out, x, weight, { transposeB: true, accumulate, fewRows });
  if (bias) engine.addBias(out, bias);
  if (!lora) return;
  const low = workspace.take(`${name}.low`, [x.shape[0], lora.a.shape[0]]);
  engine.matmul(low, dropped(engine, workspace, x, linear), lora.a, { transposeB: true, fewRows });
  engine.matmul(out, low, lora.b, { transposeB: true, scale, accumulate: true, fewRows });
}

/**
 * Adds the gradients of the factors and of the weight, where they are trained, given dout `[n, out]` and the x of the
 * forward pass. Where `dinp` `[n, in]` is given it is overwritten with the gradient of x, or added to with `accumulate`.
 */
export function linearBackward(
  engine: Engine,
  workspace: Workspace,
  name: string,
  dinp: Tensor | undefined,
  dout: Tensor,
  x: Tensor,
  linear: Linear,
  accumulate = false,
): void {
  const { weight, lora, scale, gradient, biasGradient, dropout } = linear;
  if (dinp) engine.matmul(dinp, dout, weight, { accumulate });
  if (gradient) engine.matmul(gradient, dout, x, { transposeA: true, accumulate: true });
  if (biasGradient) {
    const [n, width] = dout.shape;
    const ones = workspace.take('onesOfRows', [1, n]);
    const sums = engine.view(biasGradient, 0, [1, width]);
    engine.matmul(sums, ones, dout, { accumulate: true });
  }
  if (!lora) return;
  const shape = [x.shape[0], lora.a.shape[0]];
  const low = workspace.take(`${name}.low`, shape);
  const dlow = workspace.take('dlow', shape);
  engine.matmul(lora.gradB, dout, low, { transposeA: true, scale, accumulate: true });
  engine.matmul(dlow, dout, lora.b, { scale });
  engine.matmul(lora.gradA, dlow, dropped(engine, workspace, x, linear), {
    transposeA: true,
    accumulate: true,
  });
  if (!dinp) return;
  if (dropout) {
    const ddropped = workspace.take('dropped', x.shape);
    engine.matmul(ddropped, dlow, lora.a);
    engine.dropout(dinp, ddropped, dropout.streams, { ...dropout.options, accumulate: true });
  } else {
    engine.matmul(dinp, dlow, lora.a, { accumulate: true });
  }
}

/** x as the factors see it; the mask is a function of the step and the place, and so is made again where it is needed. */
function dropped(engine: Engine, workspace: Workspace, x: Tensor, { dropout }: Linear): Tensor {
  if (!dropout) return x;
  const out = workspace.take('dropped', x.shape);
  engine.dropout(out, x, dropout.streams, dropout.options);
  return out;
}
