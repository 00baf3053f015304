import { type SafeTensor, storedTensor } from '../data/safetensors.ts';
import { DTYPE_BYTES, type SafeTensorDtype, type TensorEntry } from '../data/safetensors_header.ts';
import type { Engine, MemoryLimits, Tensor } from '../engine/engine.ts';
import { storedBytes, type WeightFormat } from '../engine/formats.ts';
import { quantize } from '../engine/quantize.ts';
import { UserError } from '../errors.ts';
import type { LlamaConfig } from './config.ts';
import { logitsBytes } from './head.ts';

/**
 * What a model's matrices are held as on the device, by transformers' names. `nf4` is QLoRA's: linear layers in 4-bit
 * NormalFloat, the embedding and the head in 16 bits. Vectors (norms, biases) are always float32, and so is everything
 * that is computed.
 */
export type Dtype = 'float32' | 'float16' | 'bfloat16' | 'nf4';

/** `auto` never changes a weight: float32 where that fits the device, else the 16 bits that the files hold. */
export type DtypeChoice = 'auto' | Dtype;

export const DTYPE_CHOICES = ['auto', 'float32', 'float16', 'bfloat16', 'nf4'] as const;

/** Formats of safetensors that hold weights. */
const STORED: Partial<Record<SafeTensorDtype, 'f32' | 'f16' | 'bf16'>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
};
/** What `auto` leaves for activations, caches and the optimizer. */
const ROOM = 2 ** 30;
/** Values quantized at once, whole blocks of every format. */
const PART = 2 ** 16;
/** Tokens of the smallest computation that is worth loading a model for. */
const LEAST_TOKENS = 512;

/** What a tensor of the files is stored as. */
export type StoredShape = Pick<TensorEntry, 'dtype' | 'shape'>;

/** How a device holds one tensor of the files. */
export function formatOf(
  dtype: Dtype,
  linear: boolean,
  { dtype: stored, shape }: StoredShape,
): 'f32' | WeightFormat {
  if (dtype === 'float32' || shape.length < 2) return 'f32';
  if (dtype === 'float16') return 'f16';
  if (dtype === 'bfloat16') return 'bf16';
  if (linear) return 'nf4';
  return STORED[stored] === 'f16' ? 'f16' : 'bf16';
}

/** What a linear layer's weight is held as. */
export function dtypeOf({ dtype }: Tensor): Dtype {
  const names = { f32: 'float32', f16: 'float16', bf16: 'bfloat16', nf4: 'nf4' } as const;
  if (dtype === 'u32') throw new Error('dtypeOf: expected a weight, got u32');
  return names[dtype];
}

/** How a device holds linear layers, and the embedding and the head. */
export interface HeldFormats {
  readonly linear: 'f32' | WeightFormat;
  readonly embedding: 'f32' | WeightFormat;
}

export function heldFormats(dtype: Dtype, stored: StoredShape): HeldFormats {
  return { linear: formatOf(dtype, true, stored), embedding: formatOf(dtype, false, stored) };
}

/** Uploads a tensor in a format; a file's own 16 bits go to the device as they are. `name` stands in errors. */
export function uploadTensor(
  engine: Engine,
  tensor: SafeTensor,
  format: 'f32' | WeightFormat,
  name: string,
): Tensor {
  if (format === 'f32') return engine.upload(tensor.f32(), tensor.shape);
  if (STORED[tensor.dtype] === format) return engine.uploadWeights(tensor.bytes, tensor.shape, format);
  return engine.uploadWeights(quantizeTensor(tensor, format, name), tensor.shape, format);
}

/** A part at a time: neither the whole tensor in f32 nor what the processor's cache does not hold. */
function quantizeTensor({ dtype, shape, bytes }: SafeTensor, format: WeightFormat, name: string): Uint8Array {
  const length = shape.reduce((product, size) => product * size, 1);
  const quantized = new Uint8Array(storedBytes(format, length));
  for (let start = 0; start < length; start += PART) {
    const end = Math.min(start + PART, length);
    const part = bytes.subarray(start * DTYPE_BYTES[dtype], end * DTYPE_BYTES[dtype]);
    const values = storedTensor(dtype, [end - start], part).f32();
    if (format === 'f16') checkHalves(values, name);
    quantized.set(quantize(values, format), storedBytes(format, start));
  }
  return quantized;
}

function checkHalves(values: Float32Array, name: string): void {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  if (largest < 65520) return;
  throw new UserError(`${name}: expected values of at most 65504 for float16, got ${largest}`, 2, [
    'use --dtype bfloat16',
  ]);
}

/** The tensors of a model: their entries in its files, and which are linear layers. */
export interface ModelTensors {
  /** How messages call the model. */
  readonly name: string;
  readonly entries: ReadonlyMap<string, StoredShape>;
  isLinear(key: string): boolean;
}

/** What to hold a model as; throws a UserError with the sizes, and what would fit, unless the choice fits the device. */
export function chooseDtype(
  choice: DtypeChoice,
  limits: MemoryLimits,
  config: LlamaConfig,
  tensors: ModelTensors,
): Dtype {
  const least = leastBytes(config);
  const fits = (dtype: Dtype, room: number) => {
    const { total, largest } = sizes(dtype, tensors);
    return total + room <= (limits.total ?? Infinity) && largest <= limits.weights;
  };
  if (choice !== 'auto') {
    if (fits(choice, least)) return choice;
    throw refusal(choice, limits, least, tensors, (dtype) => fits(dtype, least));
  }
  const kept = storedDtype(tensors);
  for (const room of [ROOM, least]) {
    const found = (['float32', kept] as const).find((dtype) => fits(dtype, room));
    if (found) return found;
  }
  throw refusal(kept, limits, least, tensors, (dtype) => fits(dtype, least));
}

/** The 16 bits that all matrices are stored in; float32 unless they are. */
function storedDtype({ entries }: ModelTensors): Dtype {
  const formats = new Set<string | undefined>();
  for (const { dtype, shape } of entries.values()) if (shape.length > 1) formats.add(STORED[dtype]);
  if (formats.size > 1) return 'float32';
  return formats.has('f16') ? 'float16' : formats.has('bf16') ? 'bfloat16' : 'float32';
}

/** Bytes of the weights, and of the largest tensor. */
function sizes(dtype: Dtype, { entries, isLinear }: ModelTensors): { total: number; largest: number } {
  let [total, largest] = [0, 0];
  for (const [key, entry] of entries) {
    const length = entry.shape.reduce((product, size) => product * size, 1);
    const bytes = storedBytes(formatOf(dtype, isLinear(key), entry), length);
    total += bytes;
    largest = Math.max(largest, bytes);
  }
  return { total, largest };
}

function leastBytes(config: LlamaConfig): number {
  return computationBytes(config, LEAST_TOKENS);
}

/** Bytes of the activations of so many tokens in a forward pass, and of their logits. */
export function computationBytes(config: LlamaConfig, tokens: number): number {
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headDim, vocabSize } = config;
  const perToken = 4 * hiddenSize + 2 * (heads + keyValueHeads) * headDim + 3 * intermediateSize;
  return tokens * perToken * 4 + logitsBytes(tokens, vocabSize);
}

function refusal(
  dtype: Dtype,
  limits: MemoryLimits,
  least: number,
  tensors: ModelTensors,
  fits: (dtype: Dtype) => boolean,
): UserError {
  const { total, largest } = sizes(dtype, tensors);
  // A device that addresses so much, or the user's own limit.
  const addressed = limits.total === limits.weights;
  const budgeted = limits.total !== undefined && !addressed;
  const what =
    largest > limits.weights
      ? `its largest tensor takes ${gibibytes(largest)} in ${dtype}, more than the ${gibibytes(limits.weights)} that this device addresses`
      : `its weights take ${gibibytes(total)} in ${dtype} and the smallest computation ${gibibytes(least)}, ` +
        `more than the ${gibibytes(limits.total ?? Infinity)} that ${budgeted ? 'are allowed' : 'this device addresses'}`;
  const fitting = (['bfloat16', 'nf4'] as const)
    .filter((other) => other !== dtype && fits(other))
    .map((other) => `use --dtype ${other} (${gibibytes(sizes(other, tensors).total)})`);
  const more = budgeted ? ['allow more with --memory'] : addressed ? ['use a GPU (--device webgpu)'] : [];
  return new UserError(`${tensors.name}: ${what}`, 2, [...fitting, ...more, 'use a smaller model']);
}

function gibibytes(bytes: number): string {
  return bytes < 2 ** 30 / 10 ? `${Math.ceil(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
