import type { Engine } from '../engine.ts';
import { operands } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { type MatmulVariant, matmulOperation } from './matmul.ts';
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
  | 'addBias'
>;

export function transformerOperations(
  recorder: Recorder,
  kernels: Kernels,
  variant: MatmulVariant,
): TransformerOperations {
  function gather({ out, x, rows, n, d, count }: ReturnType<typeof operands.gatherRows>): void {
    const params = { n, d, rows_x: count };
    recorder.dispatch(kernels.get('gather_rows'), [out, x, rows], params, perElement(n * d));
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
