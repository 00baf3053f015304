/** Log-probabilities and preference losses; a unit of work is one row. */
import { exp, log } from '../math';
import { BLOCK } from './elementwise';
import { bytesOf, exp4, loadPart, storePart } from './lanes';
import { expSum, logSum, rowMax } from './softmax';

/**
 * logps `[n]` = log softmax(logits `[n, vocab]`)[targets]; lse `[n]`. The logits are `width` columns from `start` on: lse is
 * carried from one part to the next, and logps holds the target's logit until the last has come.
 */
export function tokenLogps(
  logps: usize,
  lse: usize,
  logits: usize,
  targets: usize,
  width: i32,
  start: i32,
  vocab: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  for (let i = first; i < end; i++) {
    const at = bytesOf(i);
    const row = logits + <usize>i * bytesOf(width);
    const most = rowMax(row, width);
    const sum = expSum(row, width, most, 1, 0);
    const total = start > 0 ? addSum(load<f32>(lse + at), most, sum) : logSum(most, sum);
    store<f32>(lse + at, total);
    const column = targetColumn(targets, i, start, vocab);
    if (column >= 0 && column < width) store<f32>(logps + at, load<f32>(row + bytesOf(column)));
    if (start + width == vocab) store<f32>(logps + at, load<f32>(logps + at) - total);
  }
}

/** Row i's target among the columns from `start` on: below 0 or past them where another part has it. */
function targetColumn(targets: usize, i: i32, start: i32, vocab: i32): i32 {
  return <i32>min(load<u32>(targets + bytesOf(i)), <u32>vocab - 1) - start;
}

/** The log-sum-exp of two parts, given that of one, and the other's maximum and Σ exp(row - maximum). */
function addSum(lse: f32, most: f32, sum: f64): f32 {
  const shift = <f64>max(lse, most);
  return <f32>(shift + log(exp(<f64>lse - shift) + sum * exp(<f64>most - shift)));
}

/** logits `[n, vocab]` = dlogps · (onehot(targets) - softmax(logits)), `width` columns of it from `start` on. */
export function tokenLogpsBackward(
  logits: usize,
  dlogps: usize,
  lse: usize,
  targets: usize,
  width: i32,
  start: i32,
  vocab: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  for (let i = first; i < end; i++) {
    const row = logits + <usize>i * bytesOf(width);
    const gradient = load<f32>(dlogps + bytesOf(i));
    const factor = f32x4.splat(-gradient);
    const sum = f32x4.splat(load<f32>(lse + bytesOf(i)));
    let j = 0;
    for (; j + 4 <= width; j += 4) {
      const at = row + bytesOf(j);
      v128.store(at, f32x4.mul(factor, exp4(f32x4.sub(v128.load(at), sum))));
    }
    const rest = width - j;
    if (rest > 0) {
      const at = row + bytesOf(j);
      storePart(at, f32x4.mul(factor, exp4(f32x4.sub(loadPart(at, rest), sum))), rest);
    }
    const column = targetColumn(targets, i, start, vocab);
    if (column < 0 || column >= width) continue;
    const target = row + bytesOf(column);
    store<f32>(target, load<f32>(target) + gradient);
  }
}

/**
 * hits `[n]` = 1 where the target is the first of the largest logits `[n, vocab]`, else 0; `width` columns from `start` on.
 * most `[n]` is carried from one part to the next, and hits holds the target's logit until the last has come: -Infinity once
 * one before it is as large.
 */
export function topTargets(
  hits: usize,
  most: usize,
  logits: usize,
  targets: usize,
  width: i32,
  start: i32,
  vocab: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  for (let i = first; i < end; i++) {
    const at = bytesOf(i);
    const row = logits + <usize>i * bytesOf(width);
    const before = start > 0 ? load<f32>(most + at) : -f32.MAX_VALUE;
    const largest = max(before, rowMax(row, width));
    store<f32>(most + at, largest);
    const column = targetColumn(targets, i, start, vocab);
    if (column >= 0 && column < width) {
      const value = load<f32>(row + bytesOf(column));
      store<f32>(hits + at, max(before, rowMax(row, column)) >= value ? <f32>-Infinity : value);
    }
    if (start + width == vocab) store<f32>(hits + at, load<f32>(hits + at) >= largest ? 1 : 0);
  }
}

/** out `[b]` = Σ x `[b, t]` · mask `[b, t]`. */
export function maskedSum(
  out: usize,
  x: usize,
  mask: usize,
  t: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  for (let i = first; i < end; i++) {
    let sum: f64 = 0;
    for (let j = i * t; j < (i + 1) * t; j++) sum += <f64>load<f32>(x + bytesOf(j)) * <f64>load<f32>(mask + bytesOf(j));
    store<f32>(out + bytesOf(i), <f32>sum);
  }
}

/** dinp `[b, t]` = dout `[b]` · mask `[b, t]`. */
export function maskedSumBackward(
  dinp: usize,
  dout: usize,
  mask: usize,
  t: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  for (let i = first; i < end; i++) {
    const gradient = load<f32>(dout + bytesOf(i));
    for (let j = i * t; j < (i + 1) * t; j++) store<f32>(dinp + bytesOf(j), gradient * load<f32>(mask + bytesOf(j)));
  }
}

/** log(1 + exp(x)) */
function softplus(x: f64): f64 {
  return max(x, 0) + log(1 + exp(-abs(x)));
}

/**
 * Losses `[pairs]` and their slopes `[2·pairs]`, chosen rows before rejected, as `Engine.dpo` describes; `loss` is 0
 * for sigmoid, 1 for ipo, 2 for hinge.
 */
export function dpo(
  losses: usize,
  dlogps: usize,
  logps: usize,
  refLogps: usize,
  labels: usize,
  pairs: i32,
  loss: i32,
  beta: f64,
  scale: f64,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  for (let i = first; i < end; i++) {
    const chosen = bytesOf(i);
    const rejected = bytesOf(pairs + i);
    const ahead = <f64>load<f32>(logps + chosen) - <f64>load<f32>(refLogps + chosen);
    const behind = <f64>load<f32>(logps + rejected) - <f64>load<f32>(refLogps + rejected);
    const delta = ahead - behind;
    let value: f64;
    let slope: f64;
    if (loss == 1) {
      const miss = delta - 1 / (2 * beta);
      value = miss * miss;
      slope = 2 * miss;
    } else if (loss == 2) {
      value = max(0, 1 - beta * delta);
      slope = value > 0 ? -beta : 0;
    } else {
      const label = <f64>load<f32>(labels + chosen);
      value = label * softplus(-beta * delta) + (1 - label) * softplus(beta * delta);
      slope = beta * (1 / (1 + exp(-beta * delta)) - label);
    }
    store<f32>(losses + chosen, <f32>value);
    store<f32>(dlogps + chosen, <f32>(scale * slope));
    store<f32>(dlogps + rejected, -<f32>(scale * slope));
  }
}

/** Clipped policy gradient of `n` log-probabilities, as `Engine.policyGradient` describes; a unit is a block. */
export function policyGradient(
  losses: usize,
  dlogps: usize,
  logps: usize,
  oldLogps: usize,
  refLogps: usize,
  advantages: usize,
  weights: usize,
  n: i32,
  lowest: f64,
  highest: f64,
  beta: f64,
  weighKl: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const stop = min(end * BLOCK, n);
  for (let i = first * BLOCK; i < stop; i++) {
    const at = bytesOf(i);
    const logp = <f64>load<f32>(logps + at);
    const advantage = <f64>load<f32>(advantages + at);
    const weight = <f64>load<f32>(weights + at);
    const ratio = exp(logp - <f64>load<f32>(oldLogps + at));
    const clipped = min(max(ratio, lowest), highest);
    const free = ratio * advantage;
    const bound = clipped * advantage;
    const away = <f64>load<f32>(refLogps + at) - logp;
    const drift = exp(away);
    const slope = free <= bound ? -free : 0;
    const scale = weighKl == 1 ? ratio : 1;
    // The ratio's own gradient turns drift - away - 1 + 1 - drift into -away.
    const pull = weighKl == 1 ? -ratio * away : 1 - drift;
    store<f32>(losses + at, <f32>(weight * (-min(free, bound) + beta * scale * (drift - away - 1))));
    store<f32>(dlogps + at, <f32>(weight * (slope + beta * pull)));
  }
}
