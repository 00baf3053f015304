/** Writes small ONNX models, so that tests can have models of every shape without a second toolchain. */

export const FLOAT = 1;
export const INT64 = 7;

type Dim = number | string;
export interface Value {
  name: string;
  type: number;
  shape: Dim[];
}
export interface Node {
  op: string;
  inputs: string[];
  output: string;
  ints?: Record<string, number>;
}
export interface Constant {
  name: string;
  shape: number[];
  data: Float32Array | BigInt64Array;
}
export interface Graph {
  inputs: Value[];
  output: Value;
  nodes: Node[];
  constants?: Constant[];
}

/** Field numbers are those of onnx.proto. */
export function onnxModel({ inputs, output, nodes, constants = [] }: Graph): Uint8Array {
  const graph = [
    ...nodes.map((node) => bytes(1, nodeProto(node))),
    text(2, 'test'),
    ...constants.map((constant) => bytes(5, tensorProto(constant))),
    ...inputs.map((value) => bytes(11, valueInfo(value))),
    bytes(12, valueInfo(output)),
  ].flat();
  return Uint8Array.from([
    ...number(1, 8),
    ...bytes(7, graph),
    ...bytes(8, [...text(1, ''), ...number(2, 17)]),
  ]);
}

function nodeProto({ op, inputs, output, ints = {} }: Node): number[] {
  const attributes = Object.entries(ints).map(([name, value]) =>
    bytes(5, [...text(1, name), ...number(3, value), ...number(20, 2)]),
  );
  return [
    ...inputs.flatMap((name) => text(1, name)),
    ...text(2, output),
    ...text(4, op),
    ...attributes.flat(),
  ];
}

function tensorProto({ name, shape, data }: Constant): number[] {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const type = data instanceof Float32Array ? FLOAT : INT64;
  return [
    ...shape.flatMap((dim) => number(1, dim)),
    ...number(2, type),
    ...text(8, name),
    ...bytes(9, [...raw]),
  ];
}

function valueInfo({ name, type, shape }: Value): number[] {
  const dims = shape.flatMap((dim) => bytes(1, typeof dim === 'number' ? number(1, dim) : text(2, dim)));
  return [...text(1, name), ...bytes(2, bytes(1, [...number(1, type), ...bytes(2, dims)]))];
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

function number(field: number, value: number): number[] {
  return [...varint(field * 8), ...varint(value)];
}

function bytes(field: number, content: number[]): number[] {
  return [...varint(field * 8 + 2), ...varint(content.length), ...content];
}

function text(field: number, content: string): number[] {
  return bytes(field, [...new TextEncoder().encode(content)]);
}
