import type { Engine } from '../engine.ts';
import { expectF32, expectRank, expectShape } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { matmulOperation } from './matmul.ts';
import type { GpuTensor } from './memory.ts';
import { perElement, type Recorder } from './recorder.ts';

type TransformerOperations = Pick<
  Engine,
  | 'embedding'
  | 'gatherRows'
  | 'rmsnorm'
  | 'rmsnormBackward'
  | 'matmul'
  | 'rope'
  | 'swiglu'
  | 'swigluBackward'
  | 'add'
>;

export function transformerOperations(recorder: Recorder, kernels: Kernels): TransformerOperations {
  function gather(operation: string, out: GpuTensor, rows: GpuTensor, x: GpuTensor): void {
    expectShape(operation, 'out', out, [rows.shape[0], x.shape[1]]);
    const [n, d] = out.shape;
    const params = { n, d, rows_x: x.shape[0] };
    recorder.dispatch(kernels.get('gather_rows'), [out, x, rows], params, perElement(n * d));
  }

  return {
    embedding(out, ids, table) {
      const rows = expectRank('embedding', 'ids', ids, ['n'], 'u32');
      const x = expectRank('embedding', 'table', table, ['vocab', 'd']);
      gather('embedding', expectRank('embedding', 'out', out, ['n', 'd']), rows, x);
    },
    gatherRows(out, x, rows) {
      const source = expectRank('gatherRows', 'x', x, ['n', 'd']);
      const picked = expectRank('gatherRows', 'rows', rows, ['b'], 'u32');
      gather('gatherRows', expectRank('gatherRows', 'out', out, ['b', 'd']), picked, source);
    },
    rmsnorm(out, x, weight, epsilon) {
      const source = expectRank('rmsnorm', 'x', x, ['n', 'd']);
      const [n, d] = source.shape;
      const target = expectShape('rmsnorm', 'out', out, [n, d]);
      const scale = expectShape('rmsnorm', 'weight', weight, [d]);
      const groups = Math.ceil(n / kernels.rowsPerGroup);
      recorder.dispatch(kernels.get('rmsnorm'), [target, source, scale], { n, d, epsilon }, groups);
    },
    rmsnormBackward(dinp, dout, x, weight, epsilon) {
      const source = expectRank('rmsnormBackward', 'x', x, ['n', 'd']);
      const [n, d] = source.shape;
      const target = expectShape('rmsnormBackward', 'dinp', dinp, [n, d]);
      const gradient = expectShape('rmsnormBackward', 'dout', dout, [n, d]);
      const scale = expectShape('rmsnormBackward', 'weight', weight, [d]);
      recorder.settle(target);
      const groups = Math.ceil(n / kernels.rowsPerGroup);
      const tensors = [target, gradient, source, scale];
      recorder.dispatch(kernels.get('rmsnorm_backward'), tensors, { n, d, epsilon }, groups);
    },
    matmul: matmulOperation(recorder, kernels),
    rope(x, cos, sin, positions, inverse = false) {
      const target = expectRank('rope', 'x', x, ['n', 'heads', 'head_dim']);
      const [n, heads, headDim] = target.shape;
      if (headDim % 2) throw new Error(`rope: expected an even head_dim, got ${headDim}`);
      const half = headDim / 2;
      const cosine = expectRank('rope', 'cos', cos, ['max_position', 'head_dim / 2']);
      const maxPosition = cosine.shape[0];
      expectShape('rope', 'cos', cosine, [maxPosition, half]);
      const sine = expectShape('rope', 'sin', sin, [maxPosition, half]);
      const at = expectShape('rope', 'positions', positions, [n], 'u32');
      recorder.settle(target);
      const params = { n, heads, half_dim: half, max_position: maxPosition, direction: inverse ? -1 : 1 };
      recorder.dispatch(
        kernels.get('rope'),
        [target, cosine, sine, at],
        params,
        perElement(n * heads * half),
      );
    },
    swiglu(out, gate, up) {
      const input = expectF32('swiglu', 'gate', gate);
      const target = expectShape('swiglu', 'out', out, input.shape);
      const linear = expectShape('swiglu', 'up', up, input.shape);
      const n = input.length;
      recorder.dispatch(kernels.get('swiglu'), [target, input, linear], { n }, perElement(n / 4));
    },
    swigluBackward(dgate, dup, dout, gate, up) {
      const input = expectF32('swigluBackward', 'gate', gate);
      const { shape, length: n } = input;
      const tensors = [
        expectShape('swigluBackward', 'dgate', dgate, shape),
        expectShape('swigluBackward', 'dup', dup, shape),
        expectShape('swigluBackward', 'dout', dout, shape),
        input,
        expectShape('swigluBackward', 'up', up, shape),
      ];
      recorder.dispatch(kernels.get('swiglu_backward'), tensors, { n }, perElement(n / 4));
    },
    add(out, x) {
      const target = expectF32('add', 'out', out);
      const source = expectShape('add', 'x', x, target.shape);
      recorder.settle(target);
      recorder.dispatch(
        kernels.get('add'),
        [target, source],
        { n: target.length },
        perElement(target.length),
      );
    },
  };
}
