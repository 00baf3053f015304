import type { Engine } from '../engine.ts';
import { operands } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { type MatmulVariant, matmulOperation } from './matmul.ts';
import { isFrozen, rowPiecesOf } from './memory.ts';
import { perElement, type Recorder } from './recorder.ts';

type TransformerOperations = Pick<
  Engine,
  | 'embedding'
  | 'gatherRows'
  | 'rmsnorm'
  | 'rmsnormBackward'
  | 'columnProducts'
  | 'scatterRows'
  | 'dropout'
  | 'matmul'
  | 'rope'
  | 'swiglu'
  | 'swigluBackward'
  | 'add'
  | 'addBias'
>;

export function transformerOperations(
  recorder: Recorder,
  kernels: Kernels,
  variant: MatmulVariant,
): TransformerOperations {
  function gather({ out, x, rows, n, d, count }: ReturnType<typeof operands.gatherRows>): void {
    for (const { tensor: table, row, rows: here } of rowPiecesOf(x)) {
      const params = { n, d, rows_x: count, first_row: row, rows_here: here };
      if (isFrozen(table)) {
        const kernel = kernels.get('gather_weights', undefined, table.dtype);
        const first4 = table.offset / 4;
        recorder.dispatch(kernel, [out, rows, table], { ...params, first4 }, perElement(n * d));
      } else {
        recorder.dispatch(kernels.get('gather_rows'), [out, table, rows], params, perElement(n * d));
      }
    }
  }

  return {
    embedding(...given) {
      gather(operands.embedding(...given));
    },
    gatherRows(...given) {
      gather(operands.gatherRows(...given));
    },
    rmsnorm(...given) {
      const epsilon = given[3];
      const { out, x, weight, n, d } = operands.rmsnorm(...given);
      const groups = Math.ceil(n / kernels.rowsPerGroup);
      recorder.dispatch(kernels.get('rmsnorm'), [out, x, weight], { n, d, epsilon }, groups);
    },
    rmsnormBackward(...given) {
      const epsilon = given[4];
      const { dinp, dout, x, weight, n, d } = operands.rmsnormBackward(...given);
      recorder.settle(dinp);
      const groups = Math.ceil(n / kernels.rowsPerGroup);
      recorder.dispatch(kernels.get('rmsnorm_backward'), [dinp, dout, x, weight], { n, d, epsilon }, groups);
    },
    columnProducts(...given) {
      const { out, a, b, n, d } = operands.columnProducts(...given);
      recorder.settle(out);
      recorder.dispatch(kernels.get('column_products'), [out, a, b], { n, d }, perElement(d));
    },
    scatterRows(...given) {
      const { table, x, ids, starts, places, u, p, d, vocab, count } = operands.scatterRows(...given);
      for (const { tensor: piece, row, rows } of rowPiecesOf(table)) {
        recorder.settle(piece);
        const params = { u, p, d, vocab, rows_x: count, first_row: row, rows_here: rows };
        const tensors = [piece, x, ids, starts, places];
        recorder.dispatch(kernels.get('scatter_rows'), tensors, params, perElement(u * d));
      }
    },
    dropout(...given) {
      const { rate, key, site, step, accumulate } = given[3];
      const { out, x, streams, below, n, d } = operands.dropout(...given);
      if (accumulate) recorder.settle(out);
      const params = {
        n,
        d,
        below,
        factor: 1 / (1 - rate),
        key0: key[0],
        key1: key[1],
        site,
        step,
        accumulate: Number(accumulate ?? false),
      };
      const groups = perElement(n * Math.ceil(d / 4));
      recorder.dispatch(kernels.get('dropout'), [out, x, streams], params, groups);
    },
    matmul: matmulOperation(recorder, kernels, variant),
    rope(...given) {
      const { x, cos, sin, positions, n, heads, half, maxPosition } = operands.rope(...given);
      recorder.settle(x);
      const direction = given[4] ? -1 : 1;
      const params = { n, heads, half_dim: half, max_position: maxPosition, direction };
      recorder.dispatch(kernels.get('rope'), [x, cos, sin, positions], params, perElement(n * heads * half));
    },
    swiglu(...given) {
      const { out, gate, up, n } = operands.swiglu(...given);
      recorder.dispatch(kernels.get('swiglu'), [out, gate, up], { n }, perElement(n / 4));
    },
    swigluBackward(...given) {
      const { dgate, dup, dout, gate, up, n } = operands.swigluBackward(...given);
      const tensors = [dgate, dup, dout, gate, up];
      recorder.dispatch(kernels.get('swiglu_backward'), tensors, { n }, perElement(n / 4));
    },
    add(...given) {
      const { out, x, n } = operands.add(...given);
      recorder.settle(out);
      recorder.dispatch(kernels.get('add'), [out, x], { n }, perElement(n));
    },
    addBias(...given) {
      const { out, bias, n, d } = operands.addBias(...given);
      recorder.settle(out);
      recorder.dispatch(kernels.get('add_bias'), [out, bias], { n, d }, perElement(n * d));
    },
  };
}
