/** Dropout with masks from a counter; a unit of work is one row. */
import { bytesOf } from './lanes';
import { philox, word1, word2, word3 } from '../philox';

/** out `[n, d]` (+)= x `[n, d]` · mask · factor, as `Engine.dropout` describes; words of 24 bits below `below` drop. */
export function dropout(
  out: usize,
  x: usize,
  streams: usize,
  d: i32,
  below: u32,
  factor: f64,
  key0: u32,
  key1: u32,
  site: u32,
  step: u32,
  accumulate: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const scale = <f32>factor;
  for (let i = first; i < end; i++) {
    const stream = load<u32>(streams + bytesOf(i));
    const from = x + <usize>i * bytesOf(d);
    const to = out + <usize>i * bytesOf(d);
    for (let j = 0; j < d; j += 4) {
      let word = philox(key0, key1, stream, j >> 2, site, step);
      const stop = min(j + 4, d);
      for (let k = j; k < stop; k++) {
        const at = bytesOf(k);
        const value: f32 = word >> 8 >= below ? load<f32>(from + at) * scale : 0;
        store<f32>(to + at, accumulate ? load<f32>(to + at) + value : value);
        word = k == j ? word1 : k == j + 1 ? word2 : word3;
      }
    }
  }
}
