/**
 * An engine that computes nothing: it hands out and takes back memory as a real one does, and counts. What runs on it
 * says how much it would hold on that device, without a byte of weights.
 */
import { elements, viewLength } from './checks.ts';
import { Arena, WASM_LIMITS } from './cpu/memory.ts';
import type { Engine, MemoryLimits, MemoryUse, Tensor } from './engine.ts';
import { storedBytes } from './formats.ts';
import { pieceLengths } from './pieces.ts';
import { type BufferLimits, Pool } from './webgpu/memory.ts';

/** The CPU engine's memory, or that of a GPU with these limits. */
export type SizedDevice = 'cpu' | BufferLimits;

interface Allocator {
  readonly limits: MemoryLimits;
  /** Takes so many bytes; the function gives them back. */
  take(bytes: number): () => void;
  flush(): void;
  use(): MemoryUse;
}

const PAGE = 65_536;

function wasmAllocator(): Allocator {
  const buffer = { byteLength: PAGE };
  const memory = {
    buffer,
    grow(pages: number) {
      buffer.byteLength += pages * PAGE;
    },
  };
  const arena = new Arena(memory, 0);
  return {
    limits: WASM_LIMITS,
    take(bytes) {
      const start = arena.allocate(bytes);
      return () => arena.release(start);
    },
    flush() {},
    use: () => arena.use(),
  };
}

function gpuAllocator(limits: BufferLimits): Allocator {
  const pool = new Pool(limits, (size) => ({ size, destroy() {} }) as GPUBuffer);
  return {
    limits: pool.limits,
    take(bytes) {
      const storage = pool.acquire(bytes);
      return () => pool.release(storage);
    },
    flush: () => void pool.trim(),
    use: () => pool.memory(),
  };
}

class SizedTensor implements Tensor {
  readonly shape: readonly number[];
  readonly dtype: Tensor['dtype'];
  readonly length: number;
  readonly isView: boolean;
  readonly giveBack: () => void;
  freed = false;

  constructor(shape: readonly number[], dtype: Tensor['dtype'], isView: boolean, giveBack: () => void) {
    this.shape = [...shape];
    this.dtype = dtype;
    this.length = elements('tensor', shape);
    this.isView = isView;
    this.giveBack = giveBack;
  }
}

export function createSizingEngine(device: SizedDevice): Engine {
  const allocator = device === 'cpu' ? wasmAllocator() : gpuAllocator(device);
  const tensor = (shape: readonly number[], dtype: Tensor['dtype'] = 'f32') => {
    const lengths = pieceLengths(shape, dtype, allocator.limits.tensor) ?? [elements('tensor', shape)];
    const pieces = lengths.map((length) => allocator.take(storedBytes(dtype, length)));
    return new SizedTensor(shape, dtype, false, () => {
      for (const giveBack of pieces) giveBack();
    });
  };
  const memory: Partial<Engine> = {
    info: { engine: 'sizing', vendor: '', device: '', description: '' },
    asynchronous: false,
    limits: allocator.limits,
    memory: () => allocator.use(),
    tensor,
    upload: (data, shape) => tensor(shape, data instanceof Float32Array ? 'f32' : 'u32'),
    uploadWeights: (_, shape, format) => tensor(shape, format),
    view(whole, offset, shape) {
      viewLength(whole as SizedTensor, offset, shape);
      return new SizedTensor(shape, whole.dtype, true, () => {});
    },
    free(...tensors) {
      for (const each of tensors) (each as SizedTensor).giveBack();
    },
    read: async (whole) => new Float32Array((whole as SizedTensor).length),
    readU32: async (whole) => new Uint32Array((whole as SizedTensor).length),
    flush: () => allocator.flush(),
  };
  const nothing = () => {};
  // A promise that is resolved with an engine asks it for `then`.
  const get = (own: Partial<Engine>, name: string) =>
    name === 'then' ? undefined : (Reflect.get(own, name) ?? nothing);
  return new Proxy(memory, { get }) as Engine;
}
