/** A unit of work is a block of `BLOCK` elements. */
import { BLOCK } from './elementwise';
import { bytesOf, loadPart, storePart } from './lanes';

/** partial f64 `[units]` = Σ x² of each block of x `[n]`. */
export function sumSquaresBlocks(
  partial: usize,
  x: usize,
  n: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  for (let block = first; block < end; block++) {
    const stop = min((block + 1) * BLOCK, n);
    let even = f64x2.splat(0);
    let odd = even;
    let i = block * BLOCK;
    for (; i + 4 <= stop; i += 4) {
      const v = v128.load(x + bytesOf(i));
      const low = f64x2.promote_low_f32x4(v);
      const high = f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3));
      even = f64x2.add(even, f64x2.mul(low, low));
      odd = f64x2.add(odd, f64x2.mul(high, high));
    }
    const both = f64x2.add(even, odd);
    let sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
    for (; i < stop; i++) {
      const value = <f64>load<f32>(x + bytesOf(i));
      sum += value * value;
    }
    store<f64>(partial + ((<usize>block) << 3), sum);
  }
}

/** out `[1]` = Σ partial f64 `[count]`. */
export function sumBlocks(out: usize, partial: usize, count: i32): void {
  let sum: f64 = 0;
  for (let i = 0; i < count; i++) sum += load<f64>(partial + ((<usize>i) << 3));
  store<f32>(out, <f32>sum);
}

/** The numbers of one AdamW step, the same for every element. */
let clip: v128 = f32x4.splat(0);
let keepMean: v128 = clip;
let takeMean: v128 = clip;
let keepVariance: v128 = clip;
let takeVariance: v128 = clip;
let decay: v128 = clip;
let rate: v128 = clip;
let root: v128 = clip;
let small: v128 = clip;

// @ts-ignore: decorator
@inline function nextMean(m: v128, g: v128): v128 {
  return f32x4.add(f32x4.mul(keepMean, m), f32x4.mul(takeMean, g));
}

// @ts-ignore: decorator
@inline function nextVariance(v: v128, g: v128): v128 {
  return f32x4.add(f32x4.mul(keepVariance, v), f32x4.mul(takeVariance, f32x4.mul(g, g)));
}

// @ts-ignore: decorator
@inline function nextParam(p: v128, m: v128, v: v128): v128 {
  const spread = f32x4.add(f32x4.mul(f32x4.sqrt(v), root), small);
  return f32x4.sub(f32x4.mul(p, decay), f32x4.div(f32x4.mul(rate, m), spread));
}

/** AdamW in place on param, m and v `[n]`; `maxNorm` may be Infinity. */
export function adamw(
  param: usize,
  grad: usize,
  m: usize,
  v: usize,
  gradSquares: usize,
  n: i32,
  learningRate: f64,
  beta1: f64,
  beta2: f64,
  epsilon: f64,
  weightDecay: f64,
  correction1: f64,
  correction2: f64,
  maxNorm: f64,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  clip = f32x4.splat(<f32>min<f64>(1, maxNorm / (sqrt(<f64>load<f32>(gradSquares)) + 1e-6)));
  keepMean = f32x4.splat(<f32>beta1);
  takeMean = f32x4.splat(<f32>(1 - beta1));
  keepVariance = f32x4.splat(<f32>beta2);
  takeVariance = f32x4.splat(<f32>(1 - beta2));
  decay = f32x4.splat(<f32>(1 - learningRate * weightDecay));
  rate = f32x4.splat(<f32>(learningRate / correction1));
  root = f32x4.splat(<f32>(1 / sqrt(correction2)));
  small = f32x4.splat(<f32>epsilon);
  const stop = min(end * BLOCK, n);
  let i = first * BLOCK;
  for (; i + 4 <= stop; i += 4) {
    const at = bytesOf(i);
    const g = f32x4.mul(v128.load(grad + at), clip);
    const mean = nextMean(v128.load(m + at), g);
    const variance = nextVariance(v128.load(v + at), g);
    v128.store(m + at, mean);
    v128.store(v + at, variance);
    v128.store(param + at, nextParam(v128.load(param + at), mean, variance));
  }
  const rest = stop - i;
  if (rest > 0) {
    const at = bytesOf(i);
    const g = f32x4.mul(loadPart(grad + at, rest), clip);
    const mean = nextMean(loadPart(m + at, rest), g);
    const variance = nextVariance(loadPart(v + at, rest), g);
    storePart(m + at, mean, rest);
    storePart(v + at, variance, rest);
    storePart(param + at, nextParam(loadPart(param + at, rest), mean, variance), rest);
  }
}
