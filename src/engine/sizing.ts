/**
 * Engines that compute nothing: the real ones, on memory that is only counted. What runs on one says how much it would hold
 * on that device, scratch and idle buffers included, without a byte of weights.
 */
import { elements, viewLength } from './checks.ts';
import { Arena, CpuTensor, WASM_LIMITS } from './cpu/memory.ts';
import { operations } from './cpu/operations.ts';
import { type KernelRunner, ScratchSpace } from './cpu/runner.ts';
import { instantiatePolicy, type PolicyExports, policyWasm } from './cpu/wasm.ts';
import type { Engine, Tensor, TensorOperation } from './engine.ts';
import { storedBytes } from './formats.ts';
import { operationsOf } from './webgpu/engine.ts';
import { Kernels } from './webgpu/kernels.ts';
import type { BufferLimits } from './webgpu/memory.ts';
import { Recorder } from './webgpu/recorder.ts';
import { allocate } from './webgpu/tensors.ts';

/** A GPU, as far as what is held on it depends on that. */
export interface SizedGpu extends BufferLimits {
  /** Whether shaders run on the CPU, whose kernels are others. */
  readonly software?: boolean;
  /** All bytes there may be, where that is known: idle buffers are given up for it. */
  readonly total?: number;
}

/** The CPU engine's memory, or that of a GPU. */
export type SizedDevice = 'cpu' | SizedGpu;

const INFO = { engine: 'sizing', vendor: '', device: '', description: '' };
const PAGE = 65_536;
/** Each has scratch of its own. All that may be are counted, so that no choice depends on how many there are. */
const MOST_THREADS = 8;

export function createSizingEngine(device: SizedDevice): Engine {
  return { info: INFO, asynchronous: false, ...(device === 'cpu' ? countingCpu() : countingGpu(device)) };
}

let instance: PolicyExports | undefined;

/** The kernels, for what they say of the scratch they need. */
function kernels(): PolicyExports {
  instance ??= instantiatePolicy(
    new WebAssembly.Module(policyWasm(false)),
    new WebAssembly.Memory({ initial: 1, maximum: 1 }),
  );
  return instance;
}

function countingCpu(): Omit<Engine, 'info' | 'asynchronous'> {
  const buffer = { byteLength: PAGE };
  const memory = {
    buffer,
    grow(pages: number) {
      buffer.byteLength += pages * PAGE;
    },
  };
  const exports = kernels();
  const arena = new Arena(memory, exports.heapBase.value);
  const scratch = new ScratchSpace(arena, MOST_THREADS);
  const runner: KernelRunner = {
    arena,
    threads: MOST_THREADS,
    exports: { ...exports, sumBlocks() {} },
    run(_, units, __, ___, bytes = 0) {
      if (units > 0) scratch.reserve(bytes);
    },
  };
  const tensor = (shape: readonly number[], dtype: Tensor['dtype'] = 'f32') => {
    const length = elements('tensor', shape);
    return new CpuTensor([...shape], dtype, arena.allocate(storedBytes(dtype, length)), length, false);
  };
  const tensors: Pick<Engine, TensorOperation> = {
    limits: WASM_LIMITS,
    memory: () => arena.use(),
    tensor,
    upload: (data, shape) => tensor(shape, data instanceof Float32Array ? 'f32' : 'u32'),
    uploadWeights: (_, shape, format) => tensor(shape, format),
    write() {},
    copy() {},
    zero() {},
    view(source, offset, shape) {
      const { dtype, pointer } = source as CpuTensor;
      const length = viewLength(source as CpuTensor, offset, shape);
      return new CpuTensor([...shape], dtype, pointer + storedBytes(dtype, offset), length, true);
    },
    free(...all) {
      for (const each of all as CpuTensor[]) {
        each.freed = true;
        arena.release(each.pointer);
      }
    },
    read: async () => new Float32Array(),
    readU32: async () => new Uint32Array(),
    flush() {},
    destroy() {},
  };
  return { ...tensors, ...operations(runner) };
}

function countingGpu(limits: SizedGpu): Omit<Engine, 'info' | 'asynchronous'> {
  const device = countingDevice();
  const recorder = new Recorder(device, limits, limits.total);
  const operationsHere = operationsOf(recorder, compiledFor(limits.software ?? false));
  return { ...operationsHere, uploadWeights: (_, shape, format) => allocate(recorder.pool, shape, format) };
}

const compiled = new Map<boolean, Kernels>();

/** Kernels that no device has seen, but whose bindings are those of the real ones. */
function compiledFor(software: boolean): Kernels {
  const found = compiled.get(software) ?? new Kernels(countingDevice(), software);
  compiled.set(software, found);
  return found;
}

/** A device that gives out buffers without memory and does nothing else. */
function countingDevice(): GPUDevice {
  const own: Readonly<Record<string, unknown>> = {
    createBuffer: ({ size }: GPUBufferDescriptor) => ({
      size,
      destroy() {},
      mapAsync: async () => {},
      getMappedRange: () => new ArrayBuffer(0),
      unmap() {},
    }),
    lost: new Promise(() => {}),
  };
  // Encoders, pipelines and queues: whatever is asked of them, they answer with another.
  const silent: unknown = new Proxy(() => {}, {
    get: (_, name) => (name === 'then' ? undefined : silent),
    apply: () => silent,
  });
  return new Proxy({}, { get: (_, name) => own[String(name)] ?? silent }) as GPUDevice;
}
