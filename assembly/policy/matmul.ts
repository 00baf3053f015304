/**
 * Products of matrices. A unit of work is a block of out, `rowSize` by `columnSize`; which unit a thread gets changes no
 * bit, because no sum is split but at multiples of a fixed number of terms.
 */
import { F32 } from './decode';
import { bytesOf } from './lanes';
import { oneRow } from './one_row';
import { copy4, packColumns, packFormat, packFormatScratch, packTransposed, transpose4 } from './pack';
import { tile } from './tile';

/** Terms summed before a partial sum is added to out: a panel of that length stays in the L1 cache. */
const TILE_TERMS: i32 = 256;
/** Rows that do not pay for packing b. */
const FEW_ROWS: i32 = 8;

/** Of the packed rows of a and columns of b. */
function panelBytes(columnSize: i32): usize {
  return <usize>TILE_TERMS * (((<usize>columnSize + 7) & ~7) + 4) * 4;
}

/** Bytes of scratch that `matmul` needs. */
export function matmulScratch(columnSize: i32): usize {
  return panelBytes(columnSize) + packFormatScratch(TILE_TERMS, columnSize);
}

/**
 * out `[m, n]` = scale · a · b, or added to out; a `[m, k]` or stored `[k, m]`, b `[k, n]` or stored `[n, k]` in `format`.
 * A product with weights in a format has the bits of that with the f32 they stand for.
 */
export function matmul(
  out: usize,
  a: usize,
  b: usize,
  m: i32,
  n: i32,
  k: i32,
  transposeA: i32,
  transposeB: i32,
  format: i32,
  scale: f32,
  accumulate: i32,
  rowSize: i32,
  columnSize: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const columnUnits = (n + columnSize - 1) / columnSize;
  const outStep = bytesOf(n);
  const aStep = bytesOf(transposeA ? m : k);
  const bStep = bytesOf(transposeB ? k : n);
  const aPanel = scratch;
  const bPanels = scratch + ((<usize>TILE_TERMS) << 4);
  const decoded = scratch + panelBytes(columnSize);
  for (let unit = first; unit < end; unit++) {
    const i0 = (unit / columnUnits) * rowSize;
    const i1 = min(i0 + rowSize, m);
    const j0 = (unit % columnUnits) * columnSize;
    const j1 = min(j0 + columnSize, n);
    const packs = transposeB != 0 || format != F32 || i1 - i0 > FEW_ROWS;
    for (let l = 0; l < k; l += TILE_TERMS) {
      const terms = min(TILE_TERMS, k - l);
      const add = l > 0 || accumulate != 0;
      if (i1 - i0 == 1 && transposeB && !transposeA) {
        const c = out + <usize>i0 * outStep + bytesOf(j0);
        const row = a + <usize>i0 * aStep + bytesOf(l);
        oneRow(c, row, b, format, j0 * k + l, k, terms, j1 - j0, scale, add, decoded);
        continue;
      }
      const right = b + (transposeB ? <usize>j0 * bStep + bytesOf(l) : <usize>l * bStep + bytesOf(j0));
      if (format != F32) {
        const start = transposeB ? j0 * k + l : l * n + j0;
        packFormat(bPanels, b, format, start, transposeB ? k : n, terms, j1 - j0, transposeB != 0, decoded);
      } else if (transposeB) packTransposed(bPanels, right, bStep, terms, j1 - j0);
      else if (packs) packColumns(bPanels, right, bStep, terms, j1 - j0);
      for (let i = i0; i < i1; i += 4) {
        const rows = min(4, i1 - i);
        if (transposeA) copy4(aPanel, 16, a + <usize>l * aStep + bytesOf(i), aStep, terms, rows);
        else transpose4(aPanel, 16, a + <usize>i * aStep + bytesOf(l), aStep, terms, rows);
        for (let j = j0; j < j1; j += 8) {
          const panel = packs ? bPanels + (<usize>(j - j0) * <usize>terms << 2) : right + bytesOf(j - j0);
          const c = out + <usize>i * outStep + bytesOf(j);
          tile(aPanel, panel, packs ? 32 : bStep, terms, c, outStep, rows, min(8, j1 - j), scale, add);
        }
      }
    }
  }
}
