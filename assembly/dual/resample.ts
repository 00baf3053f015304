/** Bootstrap resamples of rows, from counter-based random words (Philox4x32-10, as in src/random.ts). */
import { philox, word1, word2, word3 } from '../philox';
import { get, set } from './box';

// @ts-ignore: decorator
@inline function count(times: usize, rows: i32, word: u32): void {
  const row = <i32>((<u64>word * <u64>rows) >> 32);
  set(times, row, get(times, row) + 1.0);
}

/** times[n] := how often row n is drawn in `rows` draws with replacement; the same for the same key and replicate. */
export function drawTimes(times: usize, rows: i32, key0: u32, key1: u32, replicate: u32): void {
  memory.fill(times, 0, (<usize>rows) << 3);
  for (let i = 0; i < rows; i += 4) {
    count(times, rows, philox(key0, key1, replicate, 0, <u32>(i >> 2), 0));
    if (i + 1 < rows) count(times, rows, word1);
    if (i + 2 < rows) count(times, rows, word2);
    if (i + 3 < rows) count(times, rows, word3);
  }
}

/** out[c] := Σ_n times[n]·values[n][c] for f64[rows][width]. */
export function weightedSums(values: usize, rows: i32, width: i32, times: usize, out: usize): void {
  memory.fill(out, 0, (<usize>width) << 3);
  for (let row = 0; row < rows; row++) {
    const counted = get(times, row);
    if (counted == 0.0) continue;
    const from = values + ((<usize>row * <usize>width) << 3);
    for (let c = 0; c < width; c++) set(out, c, get(out, c) + counted * get(from, c));
  }
}

/** Σ_n times[n]·values[n]. */
export function weightedSum(values: usize, rows: i32, times: usize): f64 {
  let sum = 0.0;
  for (let row = 0; row < rows; row++) sum += get(times, row) * get(values, row);
  return sum;
}
