/**
 * Elementary functions with the same bits on every engine.
 *
 * exp: Cody–Waite reduction by ln 2, then 1 + r + r²·q(r) with q the minimax polynomial of degree 9 on |r| ≤ ln 2 / 2
 * (relative error 3.7e-18). log: the reduction and polynomial of FreeBSD's e_log.c (Sun Microsystems, 1993).
 * sin, cos: AssemblyScript's port of musl, with full Payne–Hanek reduction. All stay within 1 ulp. tanh: of the same port,
 * by expm1; within 2 ulp. The two-lane log runs the operations of the scalar one; `powerTable` and `powerRest` are the exponential of inner loops.
 */

// In memory and not inline: V8 13 rebuilds an inline v128 constant at each use, which costs a loop 1.8 times.
const C: usize = memory.data<f64>([
  1.4426950408889634, // 0: 1 / ln 2
  6755399441055744.0, // 1: 1.5·2^52, which rounds a sum to an integer in its low bits
  0.6931471805582987, // 2: ln 2, high part: its product with |k| < 2^16 is exact
  1.6465949582897082e-12, // 3: ln 2, low part
  0.5000000000000011, // 4 … 13: q
  0.16666666666666413,
  0.041666666666530155,
  0.008333333333494461,
  0.0013888888943630114,
  0.00019841269506578688,
  2.480149309890655e-5,
  2.7557586373840165e-6,
  2.763024837921144e-7,
  2.5000061602835666e-8,
]);

// @ts-ignore: decorator
@inline function scalar(index: i32): f64 {
  return load<f64>(C + ((<usize>index) << 3));
}

/** exp(x) for every x, with gradual underflow. */
export function exp(x: f64): f64 {
  if (x != x) return x;
  if (x > 709.782712893384) return Infinity;
  if (x < -745.1332191019412) return 0.0;
  const shifted = x * scalar(0) + scalar(1);
  const k = shifted - scalar(1);
  const r = x - k * scalar(2) - k * scalar(3);
  const r2 = r * r;
  const r4 = r2 * r2;
  const q03 = scalar(4) + scalar(5) * r + (scalar(6) + scalar(7) * r) * r2;
  const q47 = scalar(8) + scalar(9) * r + (scalar(10) + scalar(11) * r) * r2;
  const q49 = q47 + (scalar(12) + scalar(13) * r) * r4;
  const p = 1.0 + (r + r2 * (q03 + q49 * r4));
  // Two factors, because 2^k alone leaves the range of normal numbers at both ends.
  const n = <i64>k;
  const half = n >> 1;
  return p * powerOfTwo(half) * powerOfTwo(n - half);
}

// @ts-ignore: decorator
@inline function powerOfTwo(n: i64): f64 {
  return reinterpret<f64>((n + 1023) << 52);
}

/** What the powers below want x multiplied by to give exp(x): 256 / ln 2. */
export const POWER_SCALE: f64 = 369.3299304675746;

/** 2^(i/256) for i = 0 … 255. */
const POWERS: usize = memory.data(2048, 16);
const P: usize = memory.data<f64>([
  6755399441055744.0, 6755399441055744.0, // 0: 1.5·2^52
  0.0027076061740622863, 0.0027076061740622863, // 1 … 4: (ln 2 / 256)^i / i!
  3.6655655969101062e-6, 3.6655655969101062e-6,
  3.3083026805413713e-9, 3.3083026805413713e-9,
  2.239395190875157e-12, 2.239395190875157e-12,
  -131072.0, -131072.0, // 5: the least y
]);

for (let i: usize = 0; i < 256; i++) store<f64>(POWERS + (i << 3), exp(<f64>i * 0.0027076061740622863));

/**
 * Constant `index` for the two steps of 2^(y/256), y from [-2^17, 0]: a table of 256 powers, and the series to the fourth
 * term for the rest, 3.8e-17 off at most. Half the work of the long polynomial; what precision it costs beyond 1.5 ulp is
 * the rounding of y. A loop takes all its numbers through the first step before it begins the second: one power is a
 * chain of forty cycles, which processors look too little ahead to overlap.
 *
 *     shifted = y + constant 0, f = y - (shifted - constant 0), power = powerRest(powerTable(shifted), f, …)
 */
// @ts-ignore: decorator
@inline export function powerConstant(index: i32): v128 {
  return v128.load(P + ((<usize>index) << 4));
}

/** 2^(y/256) for y rounded to an integer, which stands in the low bits of `shifted`. */
// @ts-ignore: decorator
@inline export function powerTable(shifted: v128): v128 {
  const a = <usize>(i32x4.extract_lane(shifted, 0) & 255) << 3;
  const b = <usize>(i32x4.extract_lane(shifted, 2) & 255) << 3;
  const table = v128.load64_lane(POWERS + b, v128.load64_zero(POWERS + a), 1);
  return i64x2.add(table, i64x2.shl(i64x2.shr_u(shifted, 8), 52));
}

/** That times 2^(f/256), |f| ≤ ½. */
// @ts-ignore: decorator
@inline export function powerRest(table: v128, f: v128, c1: v128, c2: v128, c3: v128, c4: v128): v128 {
  const low = f64x2.add(c1, f64x2.mul(c2, f));
  const high = f64x2.add(c3, f64x2.mul(c4, f));
  const series = f64x2.add(low, f64x2.mul(f64x2.mul(f, f), high));
  return f64x2.add(table, f64x2.mul(f64x2.mul(table, f), series));
}

const L: usize = memory.data<f64>([
  0.693147180369123816490, 0.693147180369123816490, // 0: ln 2, high part
  1.90821492927058770002e-10, 1.90821492927058770002e-10, // 1: ln 2, low part
  0.6666666666666735130, 0.6666666666666735130, // 2 … 8: polynomial in s²
  0.3999999999940941908, 0.3999999999940941908,
  0.2857142874366239149, 0.2857142874366239149,
  0.2222219843214978396, 0.2222219843214978396,
  0.1818357216161805012, 0.1818357216161805012,
  0.1531383769920937332, 0.1531383769920937332,
  0.1479819860511658591, 0.1479819860511658591,
  0.5, 0.5, // 9
  1.0, 1.0, // 10
  2.0, 2.0, // 11
  4503599627371519.0, 4503599627371519.0, // 12: 2^52 + 1023
]);
const EXPONENT_SHIFT: i64 = 0x3ff0000000000000 - 0x3fe6a09e00000000;
const MANTISSA: i64 = 0x000fffffffffffff;
const SQRT_HALF: i64 = 0x3fe6a09e00000000;
const TWO_52: i64 = 0x4330000000000000;

// @ts-ignore: decorator
@inline function logConstant(index: i32): v128 {
  return v128.load(L + ((<usize>index) << 4));
}

// @ts-ignore: decorator
@inline function logScalar(index: i32): f64 {
  return load<f64>(L + ((<usize>index) << 4));
}

/** log of two positive, finite, normal numbers. */
// @ts-ignore: decorator
@inline export function log2lanes(x: v128): v128 {
  const bits = i64x2.add(x, i64x2.splat(EXPONENT_SHIFT));
  const k = f64x2.sub(v128.or(i64x2.shr_u(bits, 52), i64x2.splat(TWO_52)), logConstant(12));
  const m = i64x2.add(v128.and(bits, i64x2.splat(MANTISSA)), i64x2.splat(SQRT_HALF));
  const f = f64x2.sub(m, logConstant(10));
  const halfSquare = f64x2.mul(f64x2.mul(logConstant(9), f), f);
  const s = f64x2.div(f, f64x2.add(logConstant(11), f));
  const z = f64x2.mul(s, s);
  const w = f64x2.mul(z, z);
  const t1 = f64x2.mul(
    w,
    f64x2.add(logConstant(3), f64x2.mul(w, f64x2.add(logConstant(5), f64x2.mul(w, logConstant(7))))),
  );
  const t2 = f64x2.mul(
    z,
    f64x2.add(
      logConstant(2),
      f64x2.mul(
        w,
        f64x2.add(logConstant(4), f64x2.mul(w, f64x2.add(logConstant(6), f64x2.mul(w, logConstant(8))))),
      ),
    ),
  );
  const tail = f64x2.add(
    f64x2.mul(s, f64x2.add(halfSquare, f64x2.add(t2, t1))),
    f64x2.mul(k, logConstant(1)),
  );
  return f64x2.add(f64x2.add(f64x2.sub(tail, halfSquare), f), f64x2.mul(k, logConstant(0)));
}

/** log(x) for every x: -Infinity at 0, NaN below. */
export function log(x: f64): f64 {
  if (x != x || x < 0.0) return NaN;
  if (x == 0.0) return -Infinity;
  if (x == Infinity) return x;
  let extra = 0.0;
  if (x < 2.2250738585072014e-308) {
    x *= 18014398509481984.0;
    extra = 54.0;
  }
  const bits = reinterpret<i64>(x) + EXPONENT_SHIFT;
  const k = reinterpret<f64>((bits >> 52) | TWO_52) - logScalar(12) - extra;
  const f = reinterpret<f64>((bits & MANTISSA) + SQRT_HALF) - 1.0;
  const halfSquare = 0.5 * f * f;
  const s = f / (2.0 + f);
  const z = s * s;
  const w = z * z;
  const t1 = w * (logScalar(3) + w * (logScalar(5) + w * logScalar(7)));
  const t2 = z * (logScalar(2) + w * (logScalar(4) + w * (logScalar(6) + w * logScalar(8))));
  const tail = s * (halfSquare + (t2 + t1)) + k * logScalar(1);
  return tail - halfSquare + f + k * logScalar(0);
}

export function sin(x: f64): f64 {
  return NativeMath.sin(x);
}

export function cos(x: f64): f64 {
  return NativeMath.cos(x);
}

export function tanh(x: f64): f64 {
  return NativeMath.tanh(x);
}

/** Replaces `count` numbers at `pointer` by their log; each positive, finite and normal. */
export function logAll(pointer: usize, count: i32): void {
  const end = pointer + ((<usize>count) << 3);
  for (; pointer + 16 <= end; pointer += 16) v128.store(pointer, log2lanes(v128.load(pointer)));
  if (pointer < end) store<f64>(pointer, log(load<f64>(pointer)));
}
