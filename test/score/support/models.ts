import { FLOAT, INT64, onnxModel, type Value } from '../../../src/data/onnx.ts';

const inputs: Value[] = ['input_ids', 'attention_mask'].map((name) => ({
  name,
  type: INT64,
  shape: ['batch', 'sequence'],
}));

/** Logit c of a row is weights[c] · Σ ids under the mask. */
export function sumModel(weights: number[]): Uint8Array {
  return onnxModel({
    inputs,
    output: { name: 'logits', type: FLOAT, shape: ['batch', weights.length] },
    nodes: [
      { op: 'Mul', inputs: ['input_ids', 'attention_mask'], output: 'kept' },
      { op: 'Cast', inputs: ['kept'], output: 'floats', ints: { to: FLOAT } },
      { op: 'ReduceSum', inputs: ['floats', 'axis'], output: 'sum', ints: { keepdims: 1 } },
      { op: 'MatMul', inputs: ['sum', 'weights'], output: 'logits' },
    ],
    constants: [
      { name: 'axis', shape: [1], data: BigInt64Array.of(1n) },
      { name: 'weights', shape: [1, weights.length], data: Float32Array.from(weights) },
    ],
  });
}

/** The logit is the id at the last position, padding or not, in an output of shape [batch]. */
export function lastPositionModel(): Uint8Array {
  return onnxModel({
    inputs,
    output: { name: 'score', type: FLOAT, shape: ['batch'] },
    nodes: [
      { op: 'Gather', inputs: ['input_ids', 'last'], output: 'id', ints: { axis: 1 } },
      { op: 'Cast', inputs: ['id'], output: 'score', ints: { to: FLOAT } },
    ],
    constants: [{ name: 'last', shape: [], data: BigInt64Array.of(-1n) }],
  });
}

/** One over the sum of ids under the mask, less `pole`: infinite where that sum is `pole`. */
export function poleModel(pole: number): Uint8Array {
  return onnxModel({
    inputs,
    output: { name: 'logits', type: FLOAT, shape: ['batch', 1] },
    nodes: [
      { op: 'Mul', inputs: ['input_ids', 'attention_mask'], output: 'kept' },
      { op: 'Cast', inputs: ['kept'], output: 'floats', ints: { to: FLOAT } },
      { op: 'ReduceSum', inputs: ['floats', 'axis'], output: 'sum', ints: { keepdims: 1 } },
      { op: 'Sub', inputs: ['sum', 'pole'], output: 'distance' },
      { op: 'Reciprocal', inputs: ['distance'], output: 'logits' },
    ],
    constants: [
      { name: 'axis', shape: [1], data: BigInt64Array.of(1n) },
      { name: 'pole', shape: [1], data: Float32Array.of(pole) },
    ],
  });
}

/** A float for every token, as a language model gives; its input goes by the name given. */
export function tokenModel(input: string): Uint8Array {
  return onnxModel({
    inputs: [{ name: input, type: INT64, shape: ['batch', 'sequence'] }, inputs[1]!],
    output: { name: 'logits', type: FLOAT, shape: ['batch', 'sequence', 1] },
    nodes: [
      { op: 'Cast', inputs: [input], output: 'floats', ints: { to: FLOAT } },
      { op: 'Unsqueeze', inputs: ['floats', 'axis'], output: 'logits' },
    ],
    constants: [{ name: 'axis', shape: [1], data: BigInt64Array.of(2n) }],
  });
}
