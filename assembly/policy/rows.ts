/** Operations on rows of a matrix; a unit of work is one row. */
import { DECODE_SLACK, decode, F32 } from './decode';
import { bytesOf, loadPart, mad, storePart, sum4 } from './lanes';

/** Bytes of scratch that `gatherRows` needs of weights in a format that is not F32. */
export function gatherRowsScratch(d: i32): usize {
  return bytesOf(d) + 2 * DECODE_SLACK;
}

/** out `[n, d]` = x in `format` at rows u32 `[n]`; a row past the last of x `[count, d]` takes the last. */
export function gatherRows(
  out: usize,
  x: usize,
  rows: usize,
  d: i32,
  count: i32,
  format: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const step = bytesOf(d);
  for (let i = first; i < end; i++) {
    const row = min(load<u32>(rows + bytesOf(i)), <u32>count - 1);
    let from = x + <usize>row * step;
    if (format != F32) {
      from = scratch + DECODE_SLACK;
      decode(from, x, format, <i32>row * d, d);
    }
    memory.copy(out + <usize>i * step, from, step);
  }
}

/**
 * table `[vocab, d]` at row ids[i] += the rows of x `[count, d]` that places names from starts[i] to starts[i + 1]; a
 * unit of work is one of ids.
 */
export function scatterRows(
  table: usize,
  x: usize,
  ids: usize,
  starts: usize,
  places: usize,
  d: i32,
  vocab: i32,
  count: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const step = bytesOf(d);
  for (let i = first; i < end; i++) {
    const to = table + <usize>min(load<u32>(ids + bytesOf(i)), <u32>vocab - 1) * step;
    const stop = load<u32>(starts + bytesOf(i + 1));
    for (let place = load<u32>(starts + bytesOf(i)); place < stop; place++) {
      const from = x + <usize>min(load<u32>(places + bytesOf(<i32>place)), <u32>count - 1) * step;
      let j = 0;
      for (; j + 4 <= d; j += 4) {
        const at = bytesOf(j);
        v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(from + at)));
      }
      for (; j < d; j++) {
        const at = bytesOf(j);
        store<f32>(to + at, load<f32>(to + at) + load<f32>(from + at));
      }
    }
  }
}

/** Columns to a unit of `columnProducts`. */
const COLUMNS: i32 = 16;

/** out `[d]` += Σ_n a `[n, d]` · b `[n, d]`; a unit of work is a block of columns. */
export function columnProducts(
  out: usize,
  a: usize,
  b: usize,
  n: i32,
  d: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const stop = min(end * COLUMNS, d);
  for (let j = first * COLUMNS; j < stop; j++) {
    let sum: f64 = 0;
    for (let i = 0; i < n; i++) {
      const at = bytesOf(i * d + j);
      sum += <f64>load<f32>(a + at) * <f64>load<f32>(b + at);
    }
    const to = out + bytesOf(j);
    store<f32>(to, load<f32>(to) + <f32>sum);
  }
}

function inverseRms(x: usize, d: i32, epsilon: f64): f32 {
  let even = f32x4.splat(0);
  let odd = even;
  let j = 0;
  for (; j + 8 <= d; j += 8) {
    const a = v128.load(x + bytesOf(j));
    const b = v128.load(x + bytesOf(j), 16);
    even = mad(even, a, a);
    odd = mad(odd, b, b);
  }
  if (j + 4 <= d) {
    const a = v128.load(x + bytesOf(j));
    even = mad(even, a, a);
    j += 4;
  }
  if (j < d) {
    const a = loadPart(x + bytesOf(j), d - j);
    odd = mad(odd, a, a);
  }
  return <f32>(1 / sqrt(<f64>sum4(f32x4.add(even, odd)) / <f64>d + epsilon));
}

/** out `[n, d]` = x / sqrt(mean(x²) + epsilon) · weight. */
export function rmsnorm(
  out: usize,
  x: usize,
  weight: usize,
  d: i32,
  epsilon: f64,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  for (let i = first; i < end; i++) {
    const from = x + <usize>i * bytesOf(d);
    const to = out + <usize>i * bytesOf(d);
    const inverse = f32x4.splat(inverseRms(from, d, epsilon));
    let j = 0;
    for (; j + 4 <= d; j += 4) {
      const at = bytesOf(j);
      v128.store(to + at, f32x4.mul(f32x4.mul(v128.load(from + at), inverse), v128.load(weight + at)));
    }
    if (j < d) {
      const at = bytesOf(j);
      const w = loadPart(weight + at, d - j);
      storePart(to + at, f32x4.mul(f32x4.mul(loadPart(from + at, d - j), inverse), w), d - j);
    }
  }
}

/** dinp `[n, d]` += the gradient of rmsnorm. */
export function rmsnormBackward(
  dinp: usize,
  dout: usize,
  x: usize,
  weight: usize,
  d: i32,
  epsilon: f64,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const whole = d & ~3;
  const rest = d & 3;
  for (let i = first; i < end; i++) {
    const offset = <usize>i * bytesOf(d);
    const from = x + offset;
    const gradient = dout + offset;
    const to = dinp + offset;
    let along = f32x4.splat(0);
    for (let j = 0; j < whole; j += 4) {
      const at = bytesOf(j);
      along = mad(along, f32x4.mul(v128.load(gradient + at), v128.load(weight + at)), v128.load(from + at));
    }
    const tail = bytesOf(whole);
    if (rest > 0) {
      const scaled = f32x4.mul(loadPart(gradient + tail, rest), loadPart(weight + tail, rest));
      along = mad(along, scaled, loadPart(from + tail, rest));
    }
    const inverse = inverseRms(from, d, epsilon);
    const factor = f32x4.splat(inverse);
    const slope = f32x4.splat((sum4(along) * inverse * inverse) / <f32>d);
    for (let j = 0; j < whole; j += 4) {
      const at = bytesOf(j);
      const scaled = f32x4.mul(v128.load(gradient + at), v128.load(weight + at));
      const change = f32x4.sub(scaled, f32x4.mul(v128.load(from + at), slope));
      v128.store(to + at, mad(v128.load(to + at), factor, change));
    }
    if (rest > 0) {
      const scaled = f32x4.mul(loadPart(gradient + tail, rest), loadPart(weight + tail, rest));
      const change = f32x4.sub(scaled, f32x4.mul(loadPart(from + tail, rest), slope));
      storePart(to + tail, mad(loadPart(to + tail, rest), factor, change), rest);
    }
  }
}

/** Rotates x `[n, heads, 2·half]` by the angles of its rows' positions; direction -1 rotates back. */
export function rope(
  x: usize,
  cos: usize,
  sin: usize,
  positions: usize,
  heads: i32,
  half: i32,
  maxPosition: i32,
  direction: f32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const sign = f32x4.splat(direction);
  const size = bytesOf(half);
  for (let i = first; i < end; i++) {
    const table = <usize>min(load<u32>(positions + bytesOf(i)), <u32>maxPosition - 1) * size;
    let low = x + <usize>(i * heads) * 2 * size;
    for (let head = 0; head < heads; head++, low += 2 * size) {
      const high = low + size;
      let j = 0;
      for (; j + 4 <= half; j += 4) {
        const at = bytesOf(j);
        const c = v128.load(cos + table + at);
        const s = f32x4.mul(sign, v128.load(sin + table + at));
        const a = v128.load(low + at);
        const b = v128.load(high + at);
        v128.store(low + at, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
        v128.store(high + at, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
      }
      for (; j < half; j++) {
        const at = bytesOf(j);
        const c = load<f32>(cos + table + at);
        const s = direction * load<f32>(sin + table + at);
        const a = load<f32>(low + at);
        const b = load<f32>(high + at);
        store<f32>(low + at, a * c - b * s);
        store<f32>(high + at, b * c + a * s);
      }
    }
  }
}

/** cache `[b, max, width]` at positions start[b] + 0 … t - 1 = x `[b, t, width]`; what does not fit is left out. */
export function cacheWrite(
  cache: usize,
  x: usize,
  start: usize,
  t: i32,
  max: i32,
  width: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const step = bytesOf(width);
  for (let i = first; i < end; i++) {
    const from = load<u32>(start + bytesOf(i));
    if (from >= <u32>max) continue;
    const count = min(t, max - <i32>from);
    memory.copy(cache + <usize>(i * max + from) * step, x + <usize>(i * t) * step, <usize>count * step);
  }
}
