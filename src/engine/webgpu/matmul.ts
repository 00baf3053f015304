import type { Engine } from '../engine.ts';
import { operands } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { GpuTensor, isFrozen } from './memory.ts';
import { perElement, type Recorder } from './recorder.ts';

/** Rows and columns of a workgroup of the kernel for odd shapes. */
const PLAIN_TILE = 32;
/** A sum over more than this many k, with few results, is split into parts of this length that run side by side. */
const SPAN = 256;
const FEW_TILES = 64;

/** Rows and columns of a workgroup of the kernel that shares loads. */
const SHARED_TILE = 64;

/** Rows, columns and workgroup of the tiled kernels. */
interface Tiling {
  readonly rows: number;
  readonly columns: number;
  readonly group: number;
}

/** A load costs a software driver far more than arithmetic or a spilled register, so its tiles are large. */
const SOFTWARE_TILING: Tiling = { rows: 16, columns: 16, group: 16 };
const HARDWARE_TILING: Tiling = { rows: 8, columns: 8, group: 64 };

/** The part of a tile's side, in steps of 4, that `size` can fill. */
function side(length: number, size: number): number {
  return Math.min(length, Math.ceil(size / 4) * 4);
}

/** How large products are computed: each invocation on its own, or workgroups that share what they load. The bits are the same. */
export type MatmulVariant = 'registers' | 'shared';

export function matmulOperation(
  recorder: Recorder,
  kernels: Kernels,
  variant: MatmulVariant,
): Engine['matmul'] {
  const tiling = kernels.software ? SOFTWARE_TILING : HARDWARE_TILING;

  /** Any shape, by strides. */
  function plain(
    [out, a, b]: readonly GpuTensor[],
    [m, n, k]: readonly number[],
    transposeA: boolean,
    transposeB: boolean,
    scale: number,
    accumulate: number,
  ): void {
    const params = {
      m,
      n,
      k,
      a_row: transposeA ? 1 : k,
      a_k: transposeA ? m : 1,
      b_k: transposeB ? 1 : n,
      b_column: transposeB ? k : 1,
      scale,
      accumulate,
    };
    const tiles = Math.ceil(m / PLAIN_TILE) * Math.ceil(n / PLAIN_TILE);
    recorder.dispatch(kernels.get('matmul'), [out, a, b], params, tiles);
  }

  /** Weights as f32, for the kernel that takes any shape. */
  function decoded(b: GpuTensor): GpuTensor {
    if (!isFrozen(b)) return b;
    const { length } = b;
    const out = new GpuTensor(b.shape, 'f32', recorder.pool.acquire(length * 4), 0, length, false);
    const n4 = Math.ceil(length / 4);
    const kernel = kernels.get('decode', undefined, b.dtype);
    recorder.dispatch(kernel, [out, b], { n4, first4: b.offset / 4 }, perElement(n4));
    return out;
  }

  function transposedA(
    [out, a, b]: readonly GpuTensor[],
    [m, n, k]: readonly number[],
    scale: number,
    accumulate: number,
  ): void {
    const [rows, columns] = [side(tiling.rows, m), side(tiling.columns, n)];
    const constants = { TILE_M4: rows / 4, TILE_N4: columns / 4, GROUP: tiling.group };
    const kernel = kernels.get('matmul_tn', constants);
    const tiles = Math.ceil(m / rows) * Math.ceil(n / columns);
    const parts = tiles < FEW_TILES ? Math.ceil(k / SPAN) : 1;
    if (parts <= 1) {
      recorder.dispatch(
        kernel,
        [out, a, b],
        { m, n, k, span: k, scale, accumulate },
        Math.ceil(tiles / tiling.group),
      );
      return;
    }
    const length = parts * m * n;
    const partial = new GpuTensor([length], 'f32', recorder.pool.acquire(length * 4), 0, length, false);
    const params = { m, n, k, span: SPAN, scale: 1, accumulate: 0 };
    recorder.dispatch(kernel, [partial, a, b], params, Math.ceil((tiles * parts) / tiling.group));
    const sum = { n: m * n, parts, scale, accumulate };
    recorder.dispatch(kernels.get('sum_parts'), [out, partial], sum, perElement(m * n));
    recorder.pool.release(partial.storage);
  }

  return (...given) => {
    const { transposeA = false, transposeB = false, scale = 1, accumulate = false } = given[3] ?? {};
    const { out, a, b, m, n, k } = operands.matmul(...given);
    if (accumulate) recorder.settle(out);
    const tensors = [out, a, b];
    const sizes = [m, n, k];
    const [format, first4] = isFrozen(b) ? [b.dtype, b.offset / 4] : (['f32', 0] as const);
    if (transposeA && !transposeB && m % 4 === 0 && n % 4 === 0) {
      transposedA(tensors, sizes, scale, Number(accumulate));
    } else if (
      variant === 'shared' &&
      !transposeA &&
      k % 4 === 0 &&
      n % 4 === 0 &&
      m >= SHARED_TILE &&
      n >= SHARED_TILE
    ) {
      const kernel = kernels.get('matmul_shared', { TRANSPOSED: Number(transposeB) }, format);
      const tiles = Math.ceil(m / SHARED_TILE) * Math.ceil(n / SHARED_TILE);
      const params = { m, n, k, scale, accumulate: Number(accumulate), first4 };
      recorder.dispatch(kernel, tensors, params, tiles);
    } else if (!transposeA && k % 4 === 0 && n % 4 === 0) {
      const columns = side(tiling.columns, n);
      const constants = { TILE_M: tiling.rows, TILE_N4: columns / 4, GROUP: tiling.group };
      const kernel = kernels.get(transposeB ? 'matmul_nt' : 'matmul_nn', constants, format);
      const tiles = Math.ceil(m / tiling.rows) * Math.ceil(n / columns);
      const params = { m, n, k, scale, accumulate: Number(accumulate), first4 };
      recorder.dispatch(kernel, tensors, params, Math.ceil(tiles / tiling.group));
    } else {
      const right = decoded(b);
      plain([out, a, right], sizes, transposeA, transposeB, scale, Number(accumulate));
      if (right !== b) recorder.pool.release(right.storage);
    }
  };
}
