/** Elementary functions in fixed point with big integers: an oracle that shares nothing with assembly/math.ts. */

/** Fractional bits. The largest argument of sin and cos, 2^1023, asks for π to more than a thousand bits. */
const BITS = 1400n;
const ONE = 1n << BITS;

/** A finite double as an exact multiple of 2^-BITS; doubles below 2^-300 lose digits that no test here looks at. */
function fixed(x: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const mantissa = (bits & 0xfffffffffffffn) | (exponent > 0 ? 1n << 52n : 0n);
  const shift = BITS + BigInt(Math.max(exponent, 1) - 1075);
  const size = shift >= 0n ? mantissa << shift : mantissa >> -shift;
  return bits >> 63n ? -size : size;
}

const multiply = (a: bigint, b: bigint) => (a * b) >> BITS;
const divide = (a: bigint, b: bigint) => (a << BITS) / b;

/** Σ of a series whose next term `step` makes of the last one, until it vanishes. */
function series(first: bigint, step: (term: bigint, n: bigint) => bigint): bigint {
  let sum = first;
  let term = first;
  for (let n = 1n; term !== 0n && term !== -1n; n++) {
    term = step(term, n);
    sum += term;
  }
  return sum;
}

function atanhInverse(q: bigint): bigint {
  let power = ONE / q;
  let sum = power;
  for (let n = 3n; power !== 0n; n += 2n) {
    power /= q * q;
    sum += power / n;
  }
  return sum;
}

function atanInverse(q: bigint): bigint {
  let power = ONE / q;
  let sum = power;
  for (let n = 3n; power !== 0n; n += 2n) {
    power = -power / (q * q);
    sum += power / n;
  }
  return sum;
}

const LN2 = 2n * atanhInverse(3n);
const PI = 4n * (4n * atanInverse(5n) - atanInverse(239n));

/** A value mantissa·2^exponent with mantissa in fixed point. */
export interface Exact {
  readonly mantissa: bigint;
  readonly exponent: number;
}

export function exactExp(x: number): Exact {
  const value = fixed(x);
  const k = value / LN2;
  return { mantissa: series(ONE, (term, n) => multiply(term, value - k * LN2) / n), exponent: Number(k) };
}

export function exactLog(x: number): Exact {
  const exponent = Math.floor(Math.log2(x));
  const scaled = fixed(x / 2 ** exponent);
  const s = divide(scaled - ONE, scaled + ONE);
  let power = s;
  let sum = s;
  for (let n = 3n; power !== 0n && power !== -1n; n += 2n) {
    power = multiply(multiply(power, s), s);
    sum += power / n;
  }
  return { mantissa: 2n * sum + BigInt(exponent) * LN2, exponent: 0 };
}

export function exactSin(x: number): Exact {
  const value = fixed(x) % (2n * PI);
  const square = multiply(value, value);
  const sum = series(value, (term, n) => -multiply(term, square) / (2n * n * (2n * n + 1n)));
  return { mantissa: sum, exponent: 0 };
}

export function exactCos(x: number): Exact {
  const value = fixed(x) % (2n * PI);
  const square = multiply(value, value);
  const sum = series(ONE, (term, n) => -multiply(term, square) / (2n * n * (2n * n - 1n)));
  return { mantissa: sum, exponent: 0 };
}

/** (e^2x − 1) / (e^2x + 1), for |x| up to 300. */
export function exactTanh(x: number): Exact {
  const { mantissa, exponent } = exactExp(2 * x);
  const power = exponent >= 0 ? mantissa << BigInt(exponent) : mantissa >> BigInt(-exponent);
  return { mantissa: divide(power - ONE, power + ONE), exponent: 0 };
}

/** How far `computed` is from `exact`, in units of the last place of the exact value. */
export function ulps(computed: number, exact: Exact): number {
  const size = exact.mantissa < 0n ? -exact.mantissa : exact.mantissa;
  // The exact value lies in [2^(length-1), 2^length)·2^(exponent - BITS); subnormal results share one last place.
  const length = size.toString(2).length;
  const place = Math.max(length - 1 + exact.exponent - Number(BITS), -1022) - 52;
  const shift = BigInt(place - exact.exponent) + BITS;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, computed);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const mantissa = (bits & 0xfffffffffffffn) | (biased > 0 ? 1n << 52n : 0n);
  const signed = bits >> 63n ? -mantissa : mantissa;
  const offset = BigInt(Math.max(biased, 1) - 1075 - exact.exponent) + BITS;
  const scaled = offset >= 0n ? signed << offset : signed >> -offset;
  const difference = scaled - exact.mantissa;
  const unit = shift >= 0n ? 1n << shift : 1n;
  return Math.abs(Number((difference << 20n) / unit)) / 2 ** 20;
}
