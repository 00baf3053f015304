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
  for (let width = 1; width < sums.length; width *= 2) {
    for (let i = 0; i + width < sums.length; i += 2 * width) sums[i] += sums[i + width];
  }
  return sums[0] ?? 0;
}

/** The q-quantile of sorted numbers, linear between neighbours (numpy's default). */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const position = q * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
}
