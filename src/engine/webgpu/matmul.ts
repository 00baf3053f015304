import type { Engine } from '../engine.ts';
import { operands } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { GpuTensor, isFrozen, rowPiecesOf, viewOf } from './memory.ts';
import { perElement, type Recorder } from './recorder.ts';

/** Rows and columns of a workgroup of the kernel for odd shapes. */
const PLAIN_TILE = 32;
/** Parts that a sum is split into make up at most so many tiles. */
const MOST_TILES = 16_384;

/** Rows and columns of a workgroup of the kernels that share loads; twice that where there are so many of the larger ones. */
const SHARED_TILE = 64;
const ENOUGH_TILES = 256;

/**
 * Rows, columns and workgroup of the tiled kernels. A sum over more than `span` k whose results are fewer than `fewTiles` is
 * split into parts of that length, or longer ones, that run side by side.
 */
interface Tiling {
  readonly rows: number;
  readonly columns: number;
  readonly group: number;
  readonly fewTiles: number;
  readonly span: number;
}

/** A load costs a software driver far more than arithmetic or a spilled register, so its tiles are large. */
const SOFTWARE_TILING: Tiling = { rows: 16, columns: 16, group: 16, fewTiles: 64, span: 256 };
/** A GPU runs thousands of invocations at once. */
const HARDWARE_TILING: Tiling = { rows: 8, columns: 8, group: 64, fewTiles: 8192, span: 64 };

/** Columns of a workgroup of the kernel whose lanes share each sum, and the most rows. */
const LANES_COLUMNS = 8;
const LANES_ROWS = 8;
/** Products of at most so many columns, as LoRA's are, with sums of at least so many k, take it for any number of rows. */
const NARROW = 64;
const LONG = 128;

/** The part of a tile's side, in steps of 4, that `size` can fill. */
function side(length: number, size: number): number {
  return Math.min(length, Math.ceil(size / 4) * 4);
}

/** Rows and columns that a workgroup of the kernel whose subgroups share loads is worth starting for. */
const SUBGROUP_ROWS = 8;
const SUBGROUP_COLUMNS = 256;

/**
 * How products are computed. Large ones: each invocation on its own, workgroups that share what they load, or subgroups that
 * do; the bits are the same. `half` rounds the operands of all that it can to f16, and adds up in f32: other bits.
 */
export type MatmulVariant = 'registers' | 'shared' | 'subgroup' | 'half';

/** What a device has to offer for a variant. */
export const NEEDED_FEATURES: Readonly<Partial<Record<MatmulVariant, GPUFeatureName>>> = {
  subgroup: 'subgroups',
  half: 'shader-f16',
};

/**
 * What a dispatch computes of a product: out `[m, n]` from `firstColumn` on in rows of `stride`, from k of A's rows of
 * `kStride` from `firstK` on, or, where A is transposed, from m of its rows of `mStride` from `firstM` on. Products whose
 * operands come in pieces take several; the sums that one leaves, the next carries on.
 */
interface Part {
  readonly out: GpuTensor;
  readonly a: GpuTensor;
  readonly b: GpuTensor;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly firstColumn: number;
  readonly stride: number;
  readonly firstK: number;
  readonly kStride: number;
  readonly firstM: number;
  readonly mStride: number;
  readonly carry: boolean;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly scale: number;
  readonly accumulate: boolean;
  /** Whether the lanes of a workgroup share each sum. */
  readonly lanes: boolean;
}

export function matmulOperation(
  recorder: Recorder,
  kernels: Kernels,
  variant: MatmulVariant,
): Engine['matmul'] {
  const tiling = kernels.software ? SOFTWARE_TILING : HARDWARE_TILING;

  function scratch(shape: readonly number[]): GpuTensor {
    const length = shape.reduce((product, size) => product * size, 1);
    return new GpuTensor(shape, 'f32', recorder.pool.acquire(length * 4), 0, length, false);
  }

  function common({ m, n, k, firstColumn, stride, carry, scale, accumulate }: Part) {
    return {
      m,
      n,
      k,
      first_column: firstColumn,
      stride,
      carry: Number(carry),
      scale,
      accumulate: Number(accumulate),
    };
  }

  /** Any shape, by strides. */
  function plain(part: Part): void {
    const { a, m, n, transposeA, transposeB, firstK, kStride, firstM, mStride } = part;
    const [aRow, aK] = transposeA ? [1, mStride] : [kStride, 1];
    const right = decoded(part.b);
    const params = {
      ...common(part),
      a_row: aRow,
      a_k: aK,
      b_k: transposeB ? 1 : n,
      b_column: transposeB ? part.k : 1,
      first_a: firstM * aRow + firstK * aK,
      first_out: part.firstColumn,
    };
    const tiles = Math.ceil(m / PLAIN_TILE) * Math.ceil(n / PLAIN_TILE);
    recorder.dispatch(kernels.get('matmul'), [part.out, a, right], params, tiles);
    if (right !== part.b) recorder.pool.release(right.storage);
  }

  /** Weights as f32, for the kernel that takes any shape. */
  function decoded(b: GpuTensor): GpuTensor {
    if (!isFrozen(b)) return b;
    const out = scratch(b.shape);
    const n4 = Math.ceil(b.length / 4);
    const kernel = kernels.get('decode', undefined, b.dtype);
    recorder.dispatch(kernel, [out, b], { n4, first4: b.offset / 4 }, perElement(n4));
    return out;
  }

  function transposedA(part: Part): void {
    const { out, a, b, m, n, k, firstM, mStride, scale } = part;
    const [rows, columns] = [side(tiling.rows, m), side(tiling.columns, n)];
    const constants = { TILE_M4: rows / 4, TILE_N4: columns / 4, GROUP: tiling.group };
    const kernel = kernels.get('matmul_tn', constants);
    const tiles = Math.ceil(m / rows) * Math.ceil(n / columns);
    const params = { ...common(part), first_m: firstM, m_stride: mStride };
    const most = Math.min(Math.ceil(k / tiling.span), Math.ceil(MOST_TILES / tiles));
    const span = Math.max(tiling.span, Math.ceil(k / most));
    // A product in pieces is one of many tiles, whatever the piece.
    const parts = tiles < tiling.fewTiles && m === mStride ? Math.ceil(k / span) : 1;
    if (parts <= 1) {
      recorder.dispatch(kernel, [out, a, b], { ...params, span: k }, Math.ceil(tiles / tiling.group));
      return;
    }
    const partial = scratch([parts, m, n]);
    const alone = { ...params, span, scale: 1, accumulate: 0 };
    recorder.dispatch(kernel, [partial, a, b], alone, Math.ceil((tiles * parts) / tiling.group));
    const sum = { n: m * n, parts, scale, accumulate: params.accumulate };
    recorder.dispatch(kernels.get('sum_parts'), [out, partial], sum, perElement(m * n));
    recorder.pool.release(partial.storage);
  }

  function multiply(part: Part): void {
    const { out, a, b, m, n, k, transposeA, transposeB, firstK, kStride } = part;
    const [format, first4] = isFrozen(b) ? [b.dtype, b.offset / 4] : (['f32', 0] as const);
    if (transposeA && !transposeB && part.mStride % 4 === 0 && n % 4 === 0) {
      transposedA(part);
    } else if (transposeA || k % 4 > 0 || n % 4 > 0) {
      plain(part);
    } else {
      const params = { ...common(part), k_stride: kStride, first_k: firstK, first4 };
      const large = m >= SHARED_TILE && part.stride >= SHARED_TILE;
      const transposed = { TRANSPOSED: Number(transposeB) };
      const tilesOf = (length: number) => Math.ceil(m / length) * Math.ceil(n / length);
      if (part.lanes) {
        const rows = Math.min(LANES_ROWS, 2 ** Math.ceil(Math.log2(m)));
        const kernel = kernels.get('matmul_lanes', { ...transposed, ROWS: rows }, format);
        recorder.dispatch(kernel, [out, a, b], params, Math.ceil(m / rows) * Math.ceil(n / LANES_COLUMNS));
      } else if (variant === 'half') {
        const kernel = kernels.get('matmul_half', transposed, format);
        recorder.dispatch(kernel, [out, a, b], params, tilesOf(SHARED_TILE));
      } else if (variant === 'shared' && large) {
        const halves = tilesOf(2 * SHARED_TILE) >= ENOUGH_TILES ? 2 : 1;
        const constants = { ...transposed, HALVES: halves, ROWS: 4 * halves };
        const kernel = kernels.get('matmul_shared', constants, format);
        recorder.dispatch(kernel, [out, a, b], params, tilesOf(halves * SHARED_TILE));
      } else if (variant === 'subgroup' && large && part.stride >= SUBGROUP_COLUMNS) {
        const kernel = kernels.get('matmul_subgroup', transposed, format);
        const tiles = Math.ceil(m / SUBGROUP_ROWS) * Math.ceil(n / SUBGROUP_COLUMNS);
        recorder.dispatch(kernel, [out, a, b], params, tiles);
      } else {
        const columns = side(tiling.columns, n);
        const constants = { TILE_M: tiling.rows, TILE_N4: columns / 4, GROUP: tiling.group };
        const kernel = kernels.get(transposeB ? 'matmul_nt' : 'matmul_nn', constants, format);
        const tiles = Math.ceil(m / tiling.rows) * Math.ceil(n / columns);
        recorder.dispatch(kernel, [out, a, b], params, Math.ceil(tiles / tiling.group));
      }
    }
  }

  /** By rows of b: columns of out, or parts of every sum, each of which carries on the one before. */
  function multiplyPieces(part: Part): void {
    const { out, b, m, n, transposeB, scale, accumulate } = part;
    if (b.pieces.length === 0) {
      multiply(part);
    } else if (transposeB) {
      for (const { tensor, row, rows } of rowPiecesOf(b)) {
        multiply({ ...part, b: tensor, n: rows, firstColumn: row });
      }
    } else {
      const sums = scale === 1 && !accumulate ? out : scratch([m, n]);
      for (const { tensor, row, rows } of rowPiecesOf(b)) {
        const carry = row > 0;
        multiply({
          ...part,
          out: sums,
          b: tensor,
          k: rows,
          firstK: row,
          carry,
          scale: 1,
          accumulate: false,
        });
      }
      if (sums === out) return;
      const params = { n: m * n, parts: 1, scale, accumulate: Number(accumulate) };
      recorder.dispatch(kernels.get('sum_parts'), [out, sums], params, perElement(m * n));
      recorder.pool.release(sums.storage);
    }
  }

  return (...given) => {
    const options = given[3] ?? {};
    const {
      transposeA = false,
      transposeB = false,
      scale = 1,
      accumulate = false,
      fewRows = false,
    } = options;
    const { out, a, b, m, n, k } = operands.matmul(...given);
    const narrow = n <= NARROW && k >= LONG;
    // The sums of a product in pieces of k go on in one order.
    const inPieces = b.pieces.length > 0 && !transposeB;
    const whole = {
      out,
      a,
      b,
      m,
      n,
      k,
      firstColumn: 0,
      stride: n,
      firstK: 0,
      kStride: k,
      firstM: 0,
      mStride: m,
      carry: false,
      transposeA,
      transposeB,
      scale,
      accumulate,
      lanes: !kernels.software && !transposeA && !inPieces && (fewRows || narrow),
    };
    for (const { tensor, row, rows } of rowPiecesOf(out)) {
      if (accumulate) recorder.settle(tensor);
      if (tensor === out) multiplyPieces(whole);
      else if (transposeA) multiplyPieces({ ...whole, out: tensor, m: rows, firstM: row });
      else multiplyPieces({ ...whole, out: tensor, m: rows, a: viewOf(a, row * k, [rows, k]) });
    }
  };
}
