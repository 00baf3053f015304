/** Rows summed one after another before the sums are paired: the blocks of assembly/dual. */
const BLOCK = 256;

/** Sum of `count` numbers `stride` apart from `first`, in an order that depends on `count` alone. */
export function pairwiseSum(
  values: ArrayLike<number>,
  count: number = values.length,
  first = 0,
  stride = 1,
): number {
  const sums: number[] = [];
  for (let block = 0; block < count; block += BLOCK) {
    const end = Math.min(block + BLOCK, count);
    let sum = 0;
    for (let i = block; i < end; i++) sum += values[first + i * stride];
    sums.push(sum);
  }
  return pairUp(sums);
}

function pairUp(sums: number[]): number {
  for (let width = 1; width < sums.length; width *= 2) {
    for (let i = 0; i + width < sums.length; i += 2 * width) sums[i] += sums[i + width];
  }
  return sums[0] ?? 0;
}

/** Σ a[i]·b[i], in the order of `pairwiseSum`. */
export function pairwiseDot(a: Float64Array, b: Float64Array): number {
  const sums: number[] = [];
  for (let block = 0; block < a.length; block += BLOCK) {
    const end = Math.min(block + BLOCK, a.length);
    let sum = 0;
    for (let i = block; i < end; i++) sum += a[i] * b[i];
    sums.push(sum);
  }
  return pairUp(sums);
}

/**
 * The q-quantile of sorted numbers, linear between neighbours (numpy's default); between a number and an infinity, the
 * infinity.
 */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const position = q * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  const part = position - below;
  if (part === 0 || sorted[above] === sorted[below]) return sorted[below];
  for (const neighbour of [sorted[below], sorted[above]]) if (!Number.isFinite(neighbour)) return neighbour;
  return sorted[below] + (sorted[above] - sorted[below]) * part;
}

/** `quantile` at several q, ascending, of numbers in any order, which it reorders: without sorting them all. */
export function quantiles(values: Float64Array, q: readonly number[]): number[] {
  let left = 0;
  for (const at of q) {
    const below = Math.floor(at * (values.length - 1));
    for (const k of [below, Math.min(below + 1, values.length - 1)]) {
      select(values, k, left);
      left = k;
    }
  }
  return q.map((at) => quantile(values, at));
}

/** The median, which reorders `values`. */
export function median(values: Float64Array): number {
  const upper = values.length >> 1;
  const high = select(values, upper);
  if (values.length % 2 === 1) return high;
  let low = values[0];
  for (let i = 1; i < upper; i++) low = Math.max(low, values[i]);
  return low + (high - low) * 0.5;
}

/**
 * The k-th smallest value, with nothing larger before it (Hoare's quickselect, middle element as pivot). Nothing before
 * `left` is larger than what follows.
 */
function select(values: Float64Array, k: number, left = 0): number {
  let right = values.length - 1;
  while (left < right) {
    const pivot = values[(left + right) >> 1];
    let i = left;
    let j = right;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i > j) break;
      const value = values[i];
      values[i++] = values[j];
      values[j--] = value;
    }
    if (j < k) left = i;
    if (k < i) right = j;
  }
  return values[k];
}
