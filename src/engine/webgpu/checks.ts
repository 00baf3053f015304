import type { Tensor } from '../engine.ts';
import { GpuTensor } from './memory.ts';

function text(dtype: string, shape: readonly (number | string)[]): string {
  return `${dtype} [${shape.join(', ')}]`;
}

/** `tensor` as this engine's own, of the given shape, or an error that names the operation and the argument. */
export function expectShape(
  operation: string,
  name: string,
  tensor: Tensor,
  shape: readonly number[],
  dtype: 'f32' | 'u32' = 'f32',
): GpuTensor {
  let fits = tensor.dtype === dtype && tensor.shape.length === shape.length;
  for (let i = 0; fits && i < shape.length; i++) fits = tensor.shape[i] === shape[i];
  if (!fits) {
    throw new Error(
      `${operation}: expected ${name} ${text(dtype, shape)}, got ${text(tensor.dtype, tensor.shape)}`,
    );
  }
  return own(operation, name, tensor);
}

/** `tensor` as this engine's own, with as many dimensions as `axes` names. */
export function expectRank(
  operation: string,
  name: string,
  tensor: Tensor,
  axes: readonly string[],
  dtype: 'f32' | 'u32' = 'f32',
): GpuTensor {
  if (tensor.dtype !== dtype || tensor.shape.length !== axes.length) {
    throw new Error(
      `${operation}: expected ${name} ${text(dtype, axes)}, got ${text(tensor.dtype, tensor.shape)}`,
    );
  }
  return own(operation, name, tensor);
}

/** `tensor` as this engine's own f32 tensor of any shape. */
export function expectF32(operation: string, name: string, tensor: Tensor): GpuTensor {
  if (tensor.dtype !== 'f32') {
    throw new Error(`${operation}: expected ${name} f32, got ${text(tensor.dtype, tensor.shape)}`);
  }
  return own(operation, name, tensor);
}

export function own(operation: string, name: string, tensor: Tensor): GpuTensor {
  if (!(tensor instanceof GpuTensor)) {
    throw new Error(`${operation}: expected ${name} to be a tensor of this engine, got another object`);
  }
  if (tensor.freed) throw new Error(`${operation}: expected ${name} to be live, got a freed tensor`);
  return tensor;
}
