/** Operations on tensors element by element; a unit of work is a block of `BLOCK` elements. */
import { bytesOf, loadPart, sigmoid4, storePart } from './lanes';

export const BLOCK: i32 = 4096;

/** out += x, `n` elements. */
export function add(out: usize, x: usize, n: i32, scratch: usize, first: i32, end: i32): void {
  const stop = min(end * BLOCK, n);
  let i = first * BLOCK;
  for (; i + 4 <= stop; i += 4) {
    const at = bytesOf(i);
    v128.store(out + at, f32x4.add(v128.load(out + at), v128.load(x + at)));
  }
  for (; i < stop; i++) {
    const at = bytesOf(i);
    store<f32>(out + at, load<f32>(out + at) + load<f32>(x + at));
  }
}

/** Adds bias `[d]` to rows `first` to `end` of out. */
export function addBias(out: usize, bias: usize, d: i32, scratch: usize, first: i32, end: i32): void {
  for (let row = first; row < end; row++) {
    const start = out + bytesOf(row * d);
    let i = 0;
    for (; i + 4 <= d; i += 4) {
      const at = bytesOf(i);
      v128.store(start + at, f32x4.add(v128.load(start + at), v128.load(bias + at)));
    }
    for (; i < d; i++) {
      const at = bytesOf(i);
      store<f32>(start + at, load<f32>(start + at) + load<f32>(bias + at));
    }
  }
}

// @ts-ignore: decorator
@inline function gated(g: v128, u: v128): v128 {
  return f32x4.mul(f32x4.mul(g, sigmoid4(g)), u);
}

/** out = gate · sigmoid(gate) · up. */
export function swiglu(
  out: usize,
  gate: usize,
  up: usize,
  n: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const stop = min(end * BLOCK, n);
  let i = first * BLOCK;
  for (; i + 4 <= stop; i += 4) {
    const at = bytesOf(i);
    v128.store(out + at, gated(v128.load(gate + at), v128.load(up + at)));
  }
  if (i < stop) {
    const at = bytesOf(i);
    const rest = stop - i;
    storePart(out + at, gated(loadPart(gate + at, rest), loadPart(up + at, rest)), rest);
  }
}

/** d (g·σ(g)) / dg = σ·(1 + g·(1 - σ)) */
// @ts-ignore: decorator
@inline function gateSlope(g: v128, s: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.mul(s, f32x4.add(one, f32x4.mul(g, f32x4.sub(one, s))));
}

export function swigluBackward(
  dgate: usize,
  dup: usize,
  dout: usize,
  gate: usize,
  up: usize,
  n: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const stop = min(end * BLOCK, n);
  let i = first * BLOCK;
  for (; i + 4 <= stop; i += 4) {
    const at = bytesOf(i);
    const g = v128.load(gate + at);
    const s = sigmoid4(g);
    const d = v128.load(dout + at);
    v128.store(dup + at, f32x4.mul(d, f32x4.mul(g, s)));
    v128.store(dgate + at, f32x4.mul(f32x4.mul(d, v128.load(up + at)), gateSlope(g, s)));
  }
  if (i < stop) {
    const at = bytesOf(i);
    const rest = stop - i;
    const g = loadPart(gate + at, rest);
    const s = sigmoid4(g);
    const d = loadPart(dout + at, rest);
    storePart(dup + at, f32x4.mul(d, f32x4.mul(g, s)), rest);
    storePart(dgate + at, f32x4.mul(f32x4.mul(d, loadPart(up + at, rest)), gateSlope(g, s)), rest);
  }
}
