import { messageOf, UserError } from '../../errors.ts';
import type { Kernel } from './kernels.ts';
import { type BufferLimits, GpuTensor, isFrozen, Pool, type Storage } from './memory.ts';

/** Bytes of one dispatch's parameters; WebGPU's portable alignment of dynamic uniform offsets. */
const SLOT_BYTES = 256;
/** Dispatches in one submission: enough to amortise it, few enough that the device starts while more is recorded. */
const SLOTS = 256;
const MAX_GROUPS = 65535;
const MAX_BIND_GROUPS = 8192;

/** Workgroups of 64 invocations, one for each of `count` elements. */
export function perElement(count: number): number {
  return Math.ceil(count / 64);
}

interface PendingRead {
  readonly staging: GPUBuffer;
  readonly bytes: number;
  readonly resolve: (data: ArrayBuffer) => void;
  readonly reject: (error: Error) => void;
}

/** Where a tensor lies, as far as what is bound of it depends on that. */
interface Place {
  readonly storage: Storage;
  readonly offset: number;
  readonly length: number;
}

/** A kernel with what it was bound to, and what was recorded after it. */
interface Bound {
  readonly kernel: Kernel;
  readonly places: readonly Place[];
  readonly bindGroup: GPUBindGroup;
  next?: Bound;
}

function placeOf(tensor: GpuTensor): Place {
  const { storage, offset, length } = tensor;
  return isFrozen(tensor) ? { storage, offset: 0, length: storage.used } : { storage, offset, length };
}

function isAt(tensor: GpuTensor, place: Place): boolean {
  if (tensor.storage !== place.storage) return false;
  if (isFrozen(tensor)) return place.offset === 0 && place.length === tensor.storage.used;
  return tensor.offset === place.offset && tensor.length === place.length;
}

/**
 * Records dispatches and copies into one command encoder and submits them in batches, in program order. Parameters of
 * all dispatches of a batch travel in one uniform buffer, read at dynamic offsets.
 */
export class Recorder {
  readonly pool: Pool;
  #device: GPUDevice;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #boundKernel = -1;
  #recording = 0;
  #slots = 0;
  #uniforms: GPUBuffer;
  #words = new ArrayBuffer(SLOTS * SLOT_BYTES);
  #floats = new Float32Array(this.#words);
  #integers = new Uint32Array(this.#words);
  #bound = new Map<string, Bound>();
  #last: Bound | undefined;
  #reads: PendingRead[] = [];
  #staging = new Map<number, GPUBuffer[]>();
  #failure: Error | undefined;
  #destroyed = false;

  /** `limits` may be lower than the device's; `total` is a budget of bytes. */
  constructor(device: GPUDevice, limits: BufferLimits = device.limits, total?: number) {
    this.#device = device;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const create = (size: number) => device.createBuffer({ size, usage });
    this.pool = new Pool(limits, create, (more) => this.flush(more), total);
    this.#uniforms = device.createBuffer({
      size: SLOTS * SLOT_BYTES,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.pool.count(SLOTS * SLOT_BYTES);
    device.addEventListener('uncapturederror', (event) => {
      this.#failure ??= describeError((event as GPUUncapturedErrorEvent).error);
      event.preventDefault();
    });
    device.lost.then((lost) => {
      if (this.#destroyed) return;
      const why = lost.message.trim().replace(/\.$/, '') || lost.reason;
      this.#failure ??= new UserError(
        `The GPU device was lost (${why}). Try the same again: on a new device, it goes on from the last checkpoint. ` +
          'If it happens again, use smaller batches.',
        1,
      );
    });
  }

  /** Throws if the engine can do no more. */
  check(): void {
    if (this.#destroyed) throw new Error('The engine was destroyed.');
    if (this.#failure) throw this.#failure;
  }

  /**
   * Records `groups` workgroups of `kernel` on `tensors`, its storage bindings in order. A kernel that does not write
   * all of a written tensor needs `settle` on it first.
   */
  dispatch(
    kernel: Kernel,
    tensors: readonly GpuTensor[],
    params: Readonly<Record<string, number>>,
    groups: number,
  ): void {
    this.check();
    if (groups === 0) return;
    let bound = tensors;
    for (let i = 0; i < tensors.length; i++) {
      const tensor = tensors[i];
      if (tensor.freed) throw new Error(`${kernel.name}: expected live tensors, got one that was freed`);
      const { storage } = tensor;
      if (!kernel.writes[i]) {
        this.settle(tensor);
        // WebGPU rules out reading and writing parts of one buffer in one dispatch.
        if (tensors.some((other, j) => kernel.writes[j] && other.storage === storage)) {
          bound = bound.with(i, this.#duplicate(tensor));
        }
      } else if (storage.stale) {
        if (tensor.isView) this.settle(tensor);
        else storage.stale = false;
      }
    }
    if (this.#slots === SLOTS) this.flush();
    for (const tensor of bound) tensor.storage.recording = this.#recording;

    let word = (this.#slots * SLOT_BYTES) / 4;
    for (const { name, isFloat } of kernel.params) {
      if (isFloat) this.#floats[word++] = params[name];
      else this.#integers[word++] = params[name];
    }
    const { bindGroup } = this.#recorded(kernel, bound);
    this.#encoder ??= this.#device.createCommandEncoder();
    if (!this.#pass) {
      this.#pass = this.#encoder.beginComputePass();
      this.#boundKernel = -1;
    }
    if (this.#boundKernel !== kernel.id) {
      this.#pass.setPipeline(kernel.pipeline);
      this.#boundKernel = kernel.id;
    }
    this.#pass.setBindGroup(0, bindGroup, [this.#slots * SLOT_BYTES]);
    if (groups <= MAX_GROUPS) {
      this.#pass.dispatchWorkgroups(groups);
    } else {
      const rows = Math.ceil(groups / MAX_GROUPS);
      this.#pass.dispatchWorkgroups(Math.ceil(groups / rows), rows);
    }
    this.#slots++;
    for (let i = 0; i < tensors.length; i++) {
      if (bound[i] !== tensors[i]) this.pool.release(bound[i].storage);
    }
  }

  /** Makes good the promise of zeros on a recycled buffer. */
  settle(tensor: GpuTensor): void {
    if (!tensor.storage.stale) return;
    this.clear(tensor.storage, 0, tensor.storage.used);
    tensor.storage.stale = false;
  }

  clear(storage: Storage, offset: number, bytes: number): void {
    this.check();
    this.#transfer().clearBuffer(storage.buffer, offset, bytes);
    storage.recording = this.#recording;
  }

  copy(target: GpuTensor, source: GpuTensor): void {
    this.check();
    this.settle(source);
    if (target.isView) this.settle(target);
    target.storage.stale = false;
    const bytes = source.length * 4;
    if (target.storage === source.storage) {
      const through = this.pool.acquire(bytes);
      const encoder = this.#transfer();
      encoder.copyBufferToBuffer(source.storage.buffer, source.offset * 4, through.buffer, 0, bytes);
      encoder.copyBufferToBuffer(through.buffer, 0, target.storage.buffer, target.offset * 4, bytes);
      through.recording = this.#recording;
      this.pool.release(through);
    } else {
      const { buffer } = source.storage;
      this.#transfer().copyBufferToBuffer(
        buffer,
        source.offset * 4,
        target.storage.buffer,
        target.offset * 4,
        bytes,
      );
    }
    source.storage.recording = this.#recording;
    target.storage.recording = this.#recording;
  }

  write(target: GpuTensor, data: Float32Array | Uint32Array): void {
    if (target.isView) this.settle(target);
    this.writeBytes(
      target.storage,
      target.offset * 4,
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    );
  }

  /** Overwrites bytes, a multiple of four, of a buffer that holds nothing else to keep or is settled. */
  writeBytes(storage: Storage, offset: number, bytes: Uint8Array): void {
    this.check();
    storage.stale = false;
    // A queue write takes effect before anything submitted later, so what is recorded and touches the buffer goes first.
    if (storage.recording === this.#recording) this.flush();
    this.#device.queue.writeBuffer(storage.buffer, offset, bytes as Uint8Array<ArrayBuffer>);
  }

  /** The tensor's values as of this point of the program. */
  read(tensor: GpuTensor): Promise<ArrayBuffer> {
    this.check();
    this.settle(tensor);
    const bytes = tensor.length * 4;
    const staging = this.#acquireStaging(tensor.storage.size);
    this.#transfer().copyBufferToBuffer(tensor.storage.buffer, tensor.offset * 4, staging, 0, bytes);
    tensor.storage.recording = this.#recording;
    return new Promise((resolve, reject) => {
      this.#reads.push({ staging, bytes, resolve, reject });
      // Reads asked for in one go are submitted and waited for together.
      if (this.#reads.length === 1) queueMicrotask(() => this.flush());
    });
  }

  /** Submits what is recorded, and keeps no idle buffers that leave no room for `more` bytes. */
  flush(more = 0): void {
    if (this.#destroyed) return;
    this.#pass?.end();
    this.#pass = undefined;
    if (this.#encoder) {
      if (this.#slots > 0) {
        this.#device.queue.writeBuffer(this.#uniforms, 0, this.#words, 0, this.#slots * SLOT_BYTES);
      }
      this.#device.queue.submit([this.#encoder.finish()]);
      this.#encoder = undefined;
    }
    this.#slots = 0;
    this.#recording++;
    if (this.pool.trim(more)) this.#forget();
    for (const read of this.#reads.splice(0)) this.#finish(read);
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const { reject } of this.#reads.splice(0)) reject(new Error('The engine was destroyed.'));
    this.#device.destroy();
  }

  async #finish({ staging, bytes, resolve, reject }: PendingRead): Promise<void> {
    try {
      await staging.mapAsync(GPUMapMode.READ, 0, bytes);
      const data = staging.getMappedRange(0, bytes).slice(0);
      staging.unmap();
      this.#releaseStaging(staging);
      if (this.#failure) throw this.#failure;
      resolve(data);
    } catch (error) {
      // The event that names the cause can come a task later than the read that suffers from it.
      if (!this.#failure) await new Promise((resume) => setTimeout(resume));
      reject(this.#failure ?? new Error(`Reading from the GPU failed: ${messageOf(error)}`));
    }
  }

  /** The encoder, outside of a compute pass. */
  #transfer(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  #duplicate(tensor: GpuTensor): GpuTensor {
    const storage = this.pool.acquire(tensor.length * 4);
    const duplicate = new GpuTensor(tensor.shape, tensor.dtype, storage, 0, tensor.length, false);
    this.copy(duplicate, tensor);
    return duplicate;
  }

  /** What a dispatch binds. Steps are alike, so it is first looked for where it came last time: after the one before. */
  #recorded(kernel: Kernel, tensors: readonly GpuTensor[]): Bound {
    const next = this.#last?.next;
    if (next && next.kernel === kernel && tensors.every((tensor, i) => isAt(tensor, next.places[i]))) {
      this.#last = next;
      return next;
    }
    let key = `${kernel.id}`;
    for (const { storage, binding } of tensors) key += `,${storage.id}:${binding.offset}:${binding.size}`;
    const bound = this.#bound.get(key) ?? this.#bind(key, kernel, tensors);
    if (this.#last) this.#last.next = bound;
    this.#last = bound;
    return bound;
  }

  #bind(key: string, kernel: Kernel, tensors: readonly GpuTensor[]): Bound {
    if (this.#bound.size >= MAX_BIND_GROUPS) this.#forget();
    const bindGroup = this.#device.createBindGroup({
      layout: kernel.layout,
      entries: [
        { binding: 0, resource: { buffer: this.#uniforms, size: SLOT_BYTES } },
        ...tensors.map(({ storage, binding }, index) => ({
          binding: kernel.bindings[index],
          resource: { buffer: storage.buffer, ...binding },
        })),
      ],
    });
    const bound = { kernel, places: tensors.map(placeOf), bindGroup };
    this.#bound.set(key, bound);
    return bound;
  }

  #forget(): void {
    this.#bound.clear();
    this.#last = undefined;
  }

  #acquireStaging(size: number): GPUBuffer {
    const kept = this.#staging.get(size)?.pop();
    if (kept) return kept;
    this.pool.makeRoom(size);
    this.pool.count(size);
    return this.#device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  }

  /** Keeps small staging buffers for the next reads. */
  #releaseStaging(staging: GPUBuffer): void {
    const list = this.#staging.get(staging.size) ?? [];
    if ((list.length + 1) * staging.size > 2 ** 24) {
      staging.destroy();
      this.pool.count(-staging.size);
      return;
    }
    list.push(staging);
    this.#staging.set(staging.size, list);
  }
}

function describeError(error: GPUError): Error {
  const text = error.message.trim().split('\n')[0];
  if (error.constructor.name === 'GPUOutOfMemoryError') {
    return new UserError(
      `The GPU ran out of memory (${text}); use a smaller batch or a shorter sequence`,
      1,
      ['say with --memory how much there is'],
    );
  }
  return new Error(`The GPU reported an error: ${text}`);
}
