import { type Tensor, VIEW_ALIGNMENT } from './engine.ts';
import { storedBytes, type WeightFormat } from './formats.ts';

/** What every engine's own tensors have. */
export interface OwnTensor extends Tensor {
  readonly length: number;
  readonly isView: boolean;
  freed: boolean;
}

function text(dtype: string, shape: readonly (number | string)[]): string {
  return `${dtype} [${shape.join(', ')}]`;
}

/** Number of elements of a shape. */
export function elements(operation: string, shape: readonly number[]): number {
  let length = 1;
  for (const size of shape) {
    if (!Number.isInteger(size) || size < 0) {
      throw new Error(`${operation}: expected a shape of whole numbers, got [${shape.join(', ')}]`);
    }
    length *= size;
  }
  return length;
}

export function expectData(
  operation: string,
  data: Float32Array | Uint32Array,
  dtype: string,
  length: number,
): void {
  const type = data instanceof Float32Array ? 'f32' : 'u32';
  if (type !== dtype || data.length !== length) {
    throw new Error(`${operation}: expected ${length} values of ${dtype}, got ${data.length} of ${type}`);
  }
}

export function expectWeightBytes(bytes: Uint8Array, format: WeightFormat, length: number): void {
  const expected = storedBytes(format, length);
  if (bytes.length !== expected) {
    throw new Error(
      `uploadWeights: expected ${expected} bytes for ${length} values of ${format}, got ${bytes.length}`,
    );
  }
}

export function expectSameSize(operation: string, out: OwnTensor, source: OwnTensor): void {
  if (out.dtype !== source.dtype || out.length !== source.length) {
    throw new Error(
      `${operation}: expected source with ${out.length} values of ${out.dtype}, got ${source.length} of ${source.dtype}`,
    );
  }
}

/** Number of elements of a view of `parent`. */
export function viewLength(parent: OwnTensor, offset: number, shape: readonly number[]): number {
  const length = elements('view', shape);
  if (offset % VIEW_ALIGNMENT !== 0 || offset < 0 || offset + length > parent.length) {
    throw new Error(
      `view: expected an offset that is a multiple of ${VIEW_ALIGNMENT} with ${length} values after it, ` +
        `got ${offset} in a tensor of ${parent.length}`,
    );
  }
  return length;
}

/** Checks of operands; each returns the tensor as the engine's own, or throws naming the operation and the argument. */
export interface Checks<T extends OwnTensor> {
  /** A live tensor of this engine. */
  own(operation: string, name: string, tensor: Tensor): T;
  /** Of exactly this shape. */
  expectShape(
    operation: string,
    name: string,
    tensor: Tensor,
    shape: readonly number[],
    dtype?: Tensor['dtype'],
  ): T;
  /** With as many dimensions as `axes` names. */
  expectRank(
    operation: string,
    name: string,
    tensor: Tensor,
    axes: readonly string[],
    dtype?: 'f32' | 'u32',
  ): T;
  /** f32, or weights in a format, with as many dimensions as `axes` names. */
  expectMatrix(operation: string, name: string, tensor: Tensor, axes: readonly string[]): T;
  /** Not frozen weights. */
  expectWritable(operation: string, name: string, tensor: Tensor): T;
  /** f32 of any shape. */
  expectF32(operation: string, name: string, tensor: Tensor): T;
}

/** `Own` is the class of the engine's tensors. */
export function tensorChecks<T extends OwnTensor>(Own: abstract new (...args: never[]) => T): Checks<T> {
  function own(operation: string, name: string, tensor: Tensor): T {
    if (!(tensor instanceof Own)) {
      throw new Error(`${operation}: expected ${name} to be a tensor of this engine, got another object`);
    }
    if (tensor.freed) throw new Error(`${operation}: expected ${name} to be live, got a freed tensor`);
    return tensor;
  }

  return {
    own,
    expectShape(operation, name, tensor, shape, dtype = 'f32') {
      let fits = tensor.dtype === dtype && tensor.shape.length === shape.length;
      for (let i = 0; fits && i < shape.length; i++) fits = tensor.shape[i] === shape[i];
      if (!fits) {
        throw new Error(
          `${operation}: expected ${name} ${text(dtype, shape)}, got ${text(tensor.dtype, tensor.shape)}`,
        );
      }
      return own(operation, name, tensor);
    },
    expectRank(operation, name, tensor, axes, dtype = 'f32') {
      if (tensor.dtype !== dtype || tensor.shape.length !== axes.length) {
        throw new Error(
          `${operation}: expected ${name} ${text(dtype, axes)}, got ${text(tensor.dtype, tensor.shape)}`,
        );
      }
      return own(operation, name, tensor);
    },
    expectMatrix(operation, name, tensor, axes) {
      if (tensor.dtype === 'u32' || tensor.shape.length !== axes.length) {
        throw new Error(
          `${operation}: expected ${name} ${text('f32', axes)}, got ${text(tensor.dtype, tensor.shape)}`,
        );
      }
      return own(operation, name, tensor);
    },
    expectWritable(operation, name, tensor) {
      if (tensor.dtype !== 'f32' && tensor.dtype !== 'u32') {
        throw new Error(
          `${operation}: expected ${name} f32 or u32, got ${text(tensor.dtype, tensor.shape)}, which is frozen`,
        );
      }
      return own(operation, name, tensor);
    },
    expectF32(operation, name, tensor) {
      if (tensor.dtype !== 'f32') {
        throw new Error(`${operation}: expected ${name} f32, got ${text(tensor.dtype, tensor.shape)}`);
      }
      return own(operation, name, tensor);
    },
  };
}
