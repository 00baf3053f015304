/** Writes ONNX models: the parts of onnx.proto that a graph without control flow needs. */

export const FLOAT = 1;
export const INT64 = 7;

type Dim = number | string;

export interface Value {
  readonly name: string;
  readonly type: number;
  readonly shape: readonly Dim[];
}

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  /** Attributes: an integer, or several. */
  readonly ints?: Readonly<Record<string, number | readonly number[]>>;
}

export interface Constant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

export interface Graph {
  readonly inputs: readonly Value[];
  readonly output: Value;
  readonly nodes: readonly Node[];
  readonly constants?: readonly Constant[];
}

const IR_VERSION = 8;
const OPSET = 17;
/** AttributeProto.type of one integer and of several. */
const INT = 2;
const INTS = 7;

/** The bytes of a model.onnx; field numbers are those of onnx.proto. */
export function onnxModel({ inputs, output, nodes, constants = [] }: Graph): Uint8Array {
  const graph = [
    ...nodes.map((node) => message(1, nodeProto(node))),
    text(2, 'dualign'),
    ...constants.map((constant) => message(5, tensorProto(constant))),
    ...inputs.map((value) => message(11, valueInfo(value))),
    message(12, valueInfo(output)),
  ];
  const opset = [text(1, ''), number(2, OPSET)];
  return joined([number(1, IR_VERSION), message(7, graph), message(8, opset)]);
}

function nodeProto({ op, inputs, output, ints = {} }: Node): Uint8Array[] {
  const attributes = Object.entries(ints).map(([name, value]) =>
    message(
      5,
      typeof value === 'number'
        ? [text(1, name), number(3, value), number(20, INT)]
        : [text(1, name), ...value.map((item) => number(8, item)), number(20, INTS)],
    ),
  );
  return [...inputs.map((name) => text(1, name)), text(2, output), text(4, op), ...attributes];
}

function tensorProto({ name, shape, data }: Constant): Uint8Array[] {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const type = data instanceof Float32Array ? FLOAT : INT64;
  return [...shape.map((dim) => number(1, dim)), number(2, type), text(8, name), message(9, [raw])];
}

function valueInfo({ name, type, shape }: Value): Uint8Array[] {
  const dims = shape.map((dim) => message(1, [typeof dim === 'number' ? number(1, dim) : text(2, dim)]));
  return [text(1, name), message(2, [message(1, [number(1, type), message(2, dims)])])];
}

function number(field: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(field * 8), ...varint(value)]);
}

function message(field: number, parts: readonly Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  return joined([Uint8Array.from([...varint(field * 8 + 2), ...varint(size)]), ...parts]);
}

function text(field: number, content: string): Uint8Array {
  return message(field, [new TextEncoder().encode(content)]);
}

/** Negative numbers take ten bytes, as two's complement of 64 bits. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) + 128);
  return [...bytes, Number(rest)];
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
