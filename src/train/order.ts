import { keyOf, Random } from '../random.ts';

/** Batches of a mega-batch within which examples are sorted by length, as in transformers' LengthGroupedSampler. */
const MEGA_BATCH = 50;

export interface Order {
  readonly seed: number;
  /** Indices that a step should hold together, such as the pairs of one prompt, where it has room for them. */
  readonly groups: readonly (readonly number[])[];
  /** Given, examples of like length come together. */
  readonly lengthOf?: (index: number) => number;
}

/** The examples of one step of `size`: a slice of its epoch's order. */
export function stepIndices(order: Order, step: number, perEpoch: number, size: number): number[] {
  const start = (step % perEpoch) * size;
  return epochIndices(order, Math.floor(step / perEpoch), size).slice(start, start + size);
}

/**
 * All examples in the order of an epoch, which is drawn from the seed. Where a step holds all examples of every group,
 * they stay together, so that what they share is computed once; else all are mixed.
 */
export function epochIndices({ seed, groups, lengthOf }: Order, epoch: number, size: number): number[] {
  const random = new Random(keyOf(seed, 'epoch'), epoch);
  const together = groups.every((group) => group.length <= size);
  let order: (readonly number[])[] = random.shuffle(
    together ? [...groups] : groups.flat().map((index) => [index]),
  );
  if (lengthOf) {
    const longest = (group: readonly number[]) => Math.max(...group.map(lengthOf));
    const mega = MEGA_BATCH * Math.max(1, Math.floor((size * order.length) / groups.flat().length));
    order = Array.from({ length: Math.ceil(order.length / mega) }, (_, i) =>
      order.slice(i * mega, (i + 1) * mega).sort((a, b) => longest(b) - longest(a)),
    ).flat();
  }
  return order.flat();
}

/** Indices by equal keys, in order of first appearance. */
export function groupBy<T>(rows: readonly T[], keyOfRow: (row: T) => string): number[][] {
  const groups = new Map<string, number[]>();
  rows.forEach((row, index) => {
    const key = keyOfRow(row);
    const group = groups.get(key);
    if (group) group.push(index);
    else groups.set(key, [index]);
  });
  return [...groups.values()];
}
