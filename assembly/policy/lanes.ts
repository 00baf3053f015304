/** Four f32 at a time. Every function gives a lane the same bits whatever its neighbours hold. */

// Vectors in memory and not splats: V8 rebuilds an inline v128 constant at each use.
const C: usize = memory.data<f32>([
  1.4426950408889634, 1.4426950408889634, 1.4426950408889634, 1.4426950408889634, // 0: 1 / ln 2
  12582912.0, 12582912.0, 12582912.0, 12582912.0, // 1: 1.5·2^23, which rounds a sum to an integer in its low bits
  0.693359375, 0.693359375, 0.693359375, 0.693359375, // 2: ln 2, high part: its product with |k| < 2^13 is exact
  -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, // 3: ln 2, low part
  1.9875691500e-4, 1.9875691500e-4, 1.9875691500e-4, 1.9875691500e-4, // 4 … 9: polynomial of Cephes' expf
  1.3981999507e-3, 1.3981999507e-3, 1.3981999507e-3, 1.3981999507e-3,
  8.3334519073e-3, 8.3334519073e-3, 8.3334519073e-3, 8.3334519073e-3,
  4.1665795894e-2, 4.1665795894e-2, 4.1665795894e-2, 4.1665795894e-2,
  1.6666665459e-1, 1.6666665459e-1, 1.6666665459e-1, 1.6666665459e-1,
  5.0000001201e-1, 5.0000001201e-1, 5.0000001201e-1, 5.0000001201e-1,
  1.0, 1.0, 1.0, 1.0, // 10
  -86.0, -86.0, -86.0, -86.0, // 11: below it the exponent would leave the normal numbers
]);

// @ts-ignore: decorator
@inline function constant(index: i32): v128 {
  return v128.load(C + ((<usize>index) << 4));
}

/** exp of four numbers of at most 88, within 2 ulp; 0 below -86. */
// @ts-ignore: decorator
@inline export function exp4(given: v128): v128 {
  const x = f32x4.pmax(given, constant(11));
  const shifted = f32x4.add(f32x4.mul(x, constant(0)), constant(1));
  const k = f32x4.sub(shifted, constant(1));
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(k, constant(2))), f32x4.mul(k, constant(3)));
  const r2 = f32x4.mul(r, r);
  const q01 = f32x4.add(f32x4.mul(constant(8), r), constant(9));
  const q23 = f32x4.add(f32x4.mul(constant(6), r), constant(7));
  const q45 = f32x4.add(f32x4.mul(constant(4), r), constant(5));
  const q = f32x4.add(f32x4.mul(f32x4.add(f32x4.mul(q45, r2), q23), r2), q01);
  const p = f32x4.add(f32x4.add(f32x4.mul(q, r2), r), constant(10));
  return v128.and(i32x4.add(p, i32x4.shl(shifted, 23)), f32x4.ge(given, constant(11)));
}

/** 1 / (1 + exp(-x)). */
// @ts-ignore: decorator
@inline export function sigmoid4(x: v128): v128 {
  const e = exp4(f32x4.neg(f32x4.abs(x)));
  const inverse = f32x4.div(constant(10), f32x4.add(constant(10), e));
  return v128.bitselect(inverse, f32x4.mul(e, inverse), f32x4.ge(x, f32x4.splat(0)));
}

/** c + a·b, rounded twice: Wasm's fused form may round once or twice. */
// @ts-ignore: decorator
@inline export function mad(c: v128, a: v128, b: v128): v128 {
  return f32x4.add(c, f32x4.mul(a, b));
}

// @ts-ignore: decorator
@inline export function sum4(v: v128): f32 {
  const pairs = f32x4.add(v, v128.shuffle<f32>(v, v, 2, 3, 2, 3));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

// @ts-ignore: decorator
@inline export function max4(v: v128): f32 {
  const pairs = f32x4.pmax(v, v128.shuffle<f32>(v, v, 2, 3, 2, 3));
  return max(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

/** The first `count` of four floats, from 1 to 3, and zeros. */
export function loadPart(pointer: usize, count: i32): v128 {
  let v = v128.load32_zero(pointer);
  if (count > 1) v = v128.load_lane<f32>(pointer, v, 1, 4);
  if (count > 2) v = v128.load_lane<f32>(pointer, v, 2, 8);
  return v;
}

export function storePart(pointer: usize, v: v128, count: i32): void {
  v128.store_lane<f32>(pointer, v, 0);
  if (count > 1) v128.store_lane<f32>(pointer, v, 1, 4);
  if (count > 2) v128.store_lane<f32>(pointer, v, 2, 8);
}

// @ts-ignore: decorator
@inline export function bytesOf(floats: i32): usize {
  return (<usize>floats) << 2;
}
