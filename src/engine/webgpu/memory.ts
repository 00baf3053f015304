import { UserError } from '../../errors.ts';
import type { MemoryLimits, MemoryUse, Tensor } from '../engine.ts';
import type { WeightFormat } from '../formats.ts';

/** One GPU buffer, shared by a tensor and its views. */
export interface Storage {
  readonly id: number;
  readonly buffer: GPUBuffer;
  /** Size of the buffer in bytes: a pool bucket. */
  readonly size: number;
  /** Bytes of the tensor that holds the buffer now. */
  used: number;
  /** Comes from the pool and still holds a former tensor's values where zeros are promised. */
  stale: boolean;
  /** The recording that last touched the buffer. */
  recording: number;
}

export class GpuTensor implements Tensor {
  readonly shape: readonly number[];
  readonly dtype: Tensor['dtype'];
  /** First element within the storage. */
  readonly offset: number;
  readonly length: number;
  readonly isView: boolean;
  /** Of a tensor larger than the device binds at once, in order; empty where it has one buffer. */
  readonly pieces: readonly GpuTensor[];
  freed = false;
  #storage: Storage | undefined;

  constructor(
    shape: readonly number[],
    dtype: Tensor['dtype'],
    place: Storage | readonly GpuTensor[],
    offset: number,
    length: number,
    isView: boolean,
  ) {
    this.shape = shape;
    this.dtype = dtype;
    [this.#storage, this.pieces] = 'buffer' in place ? [place, []] : [undefined, place];
    this.offset = offset;
    this.length = length;
    this.isView = isView;
  }

  /** The one buffer. */
  get storage(): Storage {
    if (this.#storage) return this.#storage;
    throw new UserError(
      `tensor: expected at most as many bytes as this GPU driver binds at once, got ${this.length * 4} for ` +
        `[${this.shape.join(', ')}], which is not one of weights. ${SMALLER}`,
    );
  }

  /** What kernels bind, in bytes. Weights in a format are bound whole, because a view of theirs may begin at any byte. */
  get binding(): { readonly offset: number; readonly size: number } {
    const frozen = isFrozen(this);
    const bytes = frozen ? this.storage.used : this.length * 4;
    // Whole vec4f elements; views start further apart than that.
    return { offset: frozen ? 0 : this.offset * 4, size: Math.max(16, Math.ceil(bytes / 16) * 16) };
  }
}

/** The tensor's pieces with the element that each begins at; itself where it has one buffer. */
export function piecesOf(
  tensor: GpuTensor,
): readonly { readonly tensor: GpuTensor; readonly start: number }[] {
  if (tensor.pieces.length === 0) return [{ tensor, start: 0 }];
  let start = 0;
  return tensor.pieces.map((piece) => {
    start += piece.length;
    return { tensor: piece, start: start - piece.length };
  });
}

/** The pieces of a matrix `[rows, …]` as matrices of their rows, with the row that each begins at. */
export function rowPiecesOf(
  matrix: GpuTensor,
): readonly { readonly tensor: GpuTensor; readonly row: number; readonly rows: number }[] {
  const [rows, ...rest] = matrix.shape;
  if (matrix.pieces.length === 0) return [{ tensor: matrix, row: 0, rows }];
  const width = matrix.length / rows;
  return piecesOf(matrix).map(({ tensor, start }) => ({
    tensor: viewOf(tensor, 0, [tensor.length / width, ...rest]),
    row: start / width,
    rows: tensor.length / width,
  }));
}

/** A window on a tensor, whose pieces have to begin at whole rows of it. */
export function viewOf(parent: GpuTensor, offset: number, shape: readonly number[]): GpuTensor {
  const length = shape.reduce((product, size) => product * size, 1);
  if (parent.pieces.length === 0) {
    return new GpuTensor([...shape], parent.dtype, parent.storage, parent.offset + offset, length, true);
  }
  const end = offset + length;
  const parts = piecesOf(parent).flatMap(({ tensor, start }) => {
    const [from, to] = [Math.max(start, offset), Math.min(start + tensor.length, end)];
    return from < to ? [{ tensor, first: from - start, from, size: to - from }] : [];
  });
  if (parts.length <= 1) {
    const [{ tensor, first }] = parts.length > 0 ? parts : [{ tensor: parent.pieces[0], first: 0 }];
    return viewOf(tensor, first, shape);
  }
  const width = length / shape[0];
  if (parts.some(({ from }) => (from - offset) % (4 * width) !== 0)) {
    throw new Error(
      `view: expected [${shape.join(', ')}] at ${offset} to be cut at every fourth of its rows`,
    );
  }
  const pieces = parts.map(({ tensor, first, size }) => viewOf(tensor, first, [size]));
  return new GpuTensor([...shape], parent.dtype, pieces, 0, length, true);
}

const SMALLER = 'Use a smaller batch, shorter sequences or a smaller model.';

/** Whether a tensor holds weights in a format of fewer bits than f32. */
export function isFrozen(tensor: GpuTensor): tensor is GpuTensor & { readonly dtype: WeightFormat } {
  return tensor.dtype !== 'f32' && tensor.dtype !== 'u32';
}

const LARGEST_STEP = 2 ** 20;

/**
 * Four sizes per octave: at most a quarter is wasted, and tensors of nearly the same size share buffers. Large ones are
 * weights, or buffers that stay, and are only rounded up to whole steps.
 */
export function bucketSize(bytes: number): number {
  const octave = 2 ** (Math.floor(Math.log2(Math.max(bytes, 1))) - 2);
  const step = Math.min(LARGEST_STEP, Math.max(256, octave));
  return Math.max(256, Math.ceil(bytes / step) * step);
}

/** Keeps at most this many bytes of idle buffers, or a part of those in use. */
const IDLE_BYTES = 64 * 2 ** 20;
const IDLE_PART = 1 / 8;

/** What a device says of buffers, in bytes. */
export type BufferLimits = Pick<GPUSupportedLimits, 'maxStorageBufferBindingSize' | 'maxBufferSize'>;

/** Storage buffers by bucket, handed out again after `release`. */
export class Pool {
  readonly limits: MemoryLimits;
  #create: (size: number) => GPUBuffer;
  #submit: (more: number) => void;
  #idle = new Map<number, Storage[]>();
  #idleBytes = 0;
  #liveBytes = 0;
  #otherBytes = 0;
  #peak = 0;
  #nextId = 0;

  /**
   * `create` makes a buffer of so many bytes; `submit` ends the recording, which may still use idle ones, and trims them for
   * so many bytes more. `total` are all there may be, where that is known.
   */
  constructor(
    limits: BufferLimits,
    create: (size: number) => GPUBuffer,
    submit: (more: number) => void,
    total?: number,
  ) {
    const tensor = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
    this.limits = { tensor, weights: Infinity, total };
    this.#create = create;
    this.#submit = submit;
  }

  memory(): MemoryUse {
    return { live: this.#liveBytes, held: this.#held, peak: this.#peak };
  }

  /** Counts buffers that are not the pool's: `bytes` more, or less where it is negative. */
  count(bytes: number): void {
    this.#otherBytes += bytes;
    this.#peak = Math.max(this.#peak, this.#held);
  }

  get #held(): number {
    return this.#liveBytes + this.#idleBytes + this.#otherBytes;
  }

  acquire(bytes: number): Storage {
    const limit = this.limits.tensor;
    if (bytes > limit) {
      throw new UserError(
        `tensor: expected at most ${limit} bytes, the largest buffer this GPU driver binds, got ${bytes}. ` +
          SMALLER,
      );
    }
    const size = Math.min(bucketSize(bytes), limit);
    const kept = this.#idle.get(size)?.pop();
    if (kept) {
      this.#liveBytes += size;
      this.#idleBytes -= size;
      kept.used = bytes;
      kept.stale = true;
      return kept;
    }
    this.makeRoom(size);
    this.#liveBytes += size;
    this.#peak = Math.max(this.#peak, this.#held);
    const buffer = this.#create(size);
    return { id: this.#nextId++, buffer, size, used: bytes, stale: false, recording: -1 };
  }

  release(storage: Storage): void {
    const list = this.#idle.get(storage.size);
    if (list) list.push(storage);
    else this.#idle.set(storage.size, [storage]);
    this.#idleBytes += storage.size;
    this.#liveBytes -= storage.size;
  }

  /** Gives up idle buffers where `bytes` more leave no room for them. */
  makeRoom(bytes: number): void {
    if (this.#idleBytes > this.#allowed(bytes)) this.#submit(bytes);
  }

  /** Bytes of idle buffers that may stay beside those in use and `more`. */
  #allowed(more: number): number {
    const live = this.#liveBytes + more;
    const room = (this.limits.total ?? Infinity) - live - this.#otherBytes;
    return Math.max(0, Math.min(Math.max(IDLE_BYTES, live * IDLE_PART), room));
  }

  /** Destroys idle buffers that may not stay beside `more` bytes. Only with nothing recorded; true if there were any. */
  trim(more = 0): boolean {
    const allowed = this.#allowed(more);
    if (this.#idleBytes <= allowed) return false;
    for (const [size, list] of [...this.#idle].sort(([a], [b]) => b - a)) {
      while (list.length > 0 && this.#idleBytes > allowed) {
        list.pop()?.buffer.destroy();
        this.#idleBytes -= size;
      }
    }
    return true;
  }
}
