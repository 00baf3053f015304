/** Smaller tables that give the dual exactly where it matters, and nearly everywhere else. */
import { allocate } from '../memory';
import { get, set } from './box';
import { createElements, createRows, Scores } from './scores';
import { combine, CUTOFF, Scratch, select } from './softmax';

/** Every `step`-th row, sharing the table's elements; 0 if memory is exhausted. */
export function sampleRows(scores: Scores, step: i32): usize {
  const rows = (scores.prompts + step - 1) / step;
  const sample = createRows(rows, scores.constraints, scores.longest);
  if (changetype<usize>(sample) == 0) return 0;
  sample.reward = scores.reward;
  sample.safety = scores.safety;
  sample.logWeight = scores.logWeight;
  sample.plane = scores.plane;
  for (let i = 0; i < rows; i++) {
    const row = i * step;
    const word = (<usize>i) << 2;
    store<u32>(sample.start + word, load<u32>(scores.start + ((<usize>row) << 2)));
    store<u32>(sample.count + word, load<u32>(scores.count + ((<usize>row) << 2)));
    set(sample.logCount, i, get(scores.logCount, row));
    set(sample.top, i, get(scores.top, row));
    set(sample.range, i, get(scores.range, row));
    for (let j = 0; j < scores.constraints; j++) {
      set(sample.middle, j * rows + i, get(scores.middle, j * scores.prompts + row));
    }
  }
  return changetype<usize>(sample);
}

/** Elements that a thread sets aside for its rows at a time. */
const TAKEN: i32 = 1024;

/** A table without some responses in the making; threads may prune different rows of it at once. */
@unmanaged
export class Pruning {
  table: Scores;
  /** Elements that there is room for. */
  capacity: i32;
  /** Elements set aside; more than `capacity` once there was too little room. */
  taken: i32;
}

/** Room for a pruned table of up to `capacity` elements, its rows yet empty; 0 if memory is exhausted. */
export function createPruning(scores: Scores, capacity: i32): usize {
  const pruning = changetype<Pruning>(allocate(offsetof<Pruning>()));
  if (changetype<usize>(pruning) == 0) return 0;
  const table = createRows(scores.prompts, scores.constraints, 2);
  if (changetype<usize>(table) == 0 || !createElements(table, capacity, scores.logWeight != 0)) return 0;
  memory.fill(table.count, 0, (<usize>scores.prompts) << 2);
  table.logCount = scores.logCount;
  table.top = scores.top;
  table.range = scores.range;
  table.middle = scores.middle;
  table.mean = scores.mean;
  pruning.table = table;
  pruning.capacity = capacity;
  pruning.taken = 0;
  return changetype<usize>(pruning);
}

/**
 * Prunes rows from `firstRow` to `endRow` (not included) of the responses that are more than CUTOFF·β below their row's
 * best at every λ within `radius` of `centre`, which no softmax there would keep.
 *
 * With a the best response at the centre, response k scores at most s_k + Σ_j radius_j·|g_kj − g_aj| against s_a
 * anywhere in that box. Without weights the table serves at any smaller β too: the cutoff only comes nearer.
 */
export function pruneRows(
  scores: Scores,
  scratch: Scratch,
  pruning: Pruning,
  centre: usize,
  radius: usize,
  beta: f64,
  firstRow: i32,
  endRow: i32,
): void {
  const pruned = pruning.table;
  let out = 0;
  let end = 0;
  for (let row = firstRow; row < endRow; row++) {
    const word = (<usize>row) << 2;
    const first = (<usize>load<u32>(scores.start + word)) << 3;
    const padded = (load<i32>(scores.count + word) + 1) & ~1;
    const count = near(scores, scratch, centre, radius, beta, first, padded);
    const size = (count + 1) & ~1;
    if (out + size > end) {
      const more = max(TAKEN, size);
      const next = atomic.add<i32>(changetype<usize>(pruning) + offsetof<Pruning>('taken'), more);
      // Where nobody else took any in between, the row may begin in what is left.
      if (next != end) out = next;
      end = next + more;
      if (out + size > pruning.capacity) return;
    }
    store<u32>(pruned.start + word, out);
    store<i32>(pruned.count + word, count);
    gather(scores.reward + first, scratch.index, count, pruned.reward + ((<usize>out) << 3), -Infinity);
    for (let j = 0; j < scores.constraints; j++) {
      const from = scores.safety + (<usize>j) * scores.plane + first;
      gather(from, scratch.index, count, pruned.safety + (<usize>j) * pruned.plane + ((<usize>out) << 3), 0.0);
    }
    if (scores.logWeight != 0) {
      gather(scores.logWeight + first, scratch.index, count, pruned.logWeight + ((<usize>out) << 3), 0.0);
    }
    out += size;
  }
}

/** The table, once all rows are pruned; 0 if there was too little room for them. */
export function finishPruning(pruning: Pruning): usize {
  const table = pruning.table;
  // A row without responses is one that there was no room for.
  for (let row = 0; row < table.prompts; row++) {
    const word = (<usize>row) << 2;
    const size = (load<i32>(table.count + word) + 1) & ~1;
    if (size == 0) return 0;
    if (size > table.longest) table.longest = size;
  }
  return changetype<usize>(table);
}

/** Writes the positions of the responses that stay to `scratch.index`; their number. */
export function near(
  scores: Scores,
  scratch: Scratch,
  centre: usize,
  radius: usize,
  beta: f64,
  first: usize,
  padded: i32,
): i32 {
  const score = scratch.score;
  const size = (<usize>padded) << 3;
  const best = combine(scores, centre, beta, first, size, score);
  let anchor: usize = 0;
  while (load<f64>(score + anchor) != best) anchor += 8;
  const m = scores.constraints;
  for (let j = 0; j < m; j += 2) {
    const g = scores.safety + (<usize>j) * scores.plane + first;
    const reaches = radius + ((<usize>j) << 3);
    if (j + 1 < m) raiseTwo(score, g, g + scores.plane, anchor, reaches, size);
    else raiseOne(score, g, anchor, reaches, size);
  }
  return select(score, padded, best - CUTOFF * beta, scratch.index);
}

// score[k] += Σ radius·|g[k] - g[anchor]|

function raiseOne(score: usize, g: usize, anchor: usize, radius: usize, size: usize): void {
  const at = v128.load64_splat(g + anchor);
  const reach = v128.load64_splat(radius);
  for (let i: usize = 0; i < size; i += 16) {
    const rise = f64x2.mul(reach, f64x2.abs(f64x2.sub(v128.load(g + i), at)));
    v128.store(score + i, f64x2.add(v128.load(score + i), rise));
  }
}

function raiseTwo(score: usize, g: usize, h: usize, anchor: usize, radius: usize, size: usize): void {
  const gAt = v128.load64_splat(g + anchor);
  const hAt = v128.load64_splat(h + anchor);
  const gReach = v128.load64_splat(radius);
  const hReach = v128.load64_splat(radius, 8);
  for (let i: usize = 0; i < size; i += 16) {
    const rise = f64x2.add(
      f64x2.mul(gReach, f64x2.abs(f64x2.sub(v128.load(g + i), gAt))),
      f64x2.mul(hReach, f64x2.abs(f64x2.sub(v128.load(h + i), hAt))),
    );
    v128.store(score + i, f64x2.add(v128.load(score + i), rise));
  }
}

function gather(from: usize, index: usize, count: i32, to: usize, pad: f64): void {
  for (let i = 0; i < count; i++) set(to, i, get(from, load<i32>(index + ((<usize>i) << 2))));
  if (count & 1) set(to, count, pad);
}

/** Part of the elements that `prune` would keep of a table. */
export function keptPart(scores: Scores, scratch: Scratch, centre: usize, radius: usize, beta: f64): f64 {
  let kept = 0;
  let all = 0;
  for (let row = 0; row < scores.prompts; row++) {
    const word = (<usize>row) << 2;
    const first = (<usize>load<u32>(scores.start + word)) << 3;
    const padded = (load<i32>(scores.count + word) + 1) & ~1;
    kept += (near(scores, scratch, centre, radius, beta, first, padded) + 1) & ~1;
    all += padded;
  }
  return <f64>kept / <f64>all;
}
