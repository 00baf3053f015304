/** How a tensor that is larger than a device binds at once is laid out: in pieces of whole rows, each a buffer of its own. */

import type { Tensor } from './engine.ts';
import { storedBytes } from './formats.ts';

/** Elements that a piece is a multiple of: sums of squares add up spans of this length. */
export const PIECE_SPAN = 1024;
/** Rows that a piece is a multiple of: kernels write columns four at a time, and views begin at every 64th element. */
const PIECE_ROWS = 64;

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/**
 * Elements of each piece of a tensor of this shape, so that none takes more than `limit` bytes; one where it fits. The
 * last may be shorter. Undefined where it has no rows to cut at, or not even the fewest fit.
 */
export function pieceLengths(
  shape: readonly number[],
  dtype: Tensor['dtype'],
  limit: number,
): readonly number[] | undefined {
  const length = shape.reduce((product, size) => product * size, 1);
  if (storedBytes(dtype, length) <= limit) return [length];
  if (shape.length < 2) return undefined;
  const width = shape.slice(1).reduce((product, size) => product * size, 1);
  const rows = Math.max(PIECE_ROWS, PIECE_SPAN / greatestCommonDivisor(PIECE_SPAN, width));
  const unit = rows * width;
  // As f32 it has to fit too: a kernel may need it so.
  const piece = unit * Math.floor(limit / storedBytes('f32', unit));
  if (piece === 0) return undefined;
  return Array.from({ length: Math.ceil(length / piece) }, (_, i) => Math.min(piece, length - i * piece));
}
