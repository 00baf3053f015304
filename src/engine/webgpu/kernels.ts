import { SHADERS } from '../../generated/shaders.ts';
import type { WeightFormat } from '../formats.ts';
import { setConstants, unroll } from './source.ts';

export type KernelName = keyof typeof SHADERS;

export interface Kernel {
  readonly id: number;
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** Members of `struct Params` in order. All are 32 bits wide, so their offsets are 0, 4, 8, … */
  readonly params: readonly { readonly name: string; readonly isFloat: boolean }[];
  /** The storage bindings' numbers, and whether each is written. */
  readonly bindings: readonly number[];
  readonly writes: readonly boolean[];
}

/** Kernels whose rows are a vocabulary wide. */
const WIDE: ReadonlySet<KernelName> = new Set(['sample', 'token_logps', 'top_targets']);

export type Constants = Readonly<Record<string, number>>;

/** Compiles kernels on first use; one pipeline per kernel and set of constants. */
export class Kernels {
  /** Whether shaders run on the CPU: loads and barriers cost more there than arithmetic. */
  readonly software: boolean;
  /** Rows that one workgroup of a row-reducing kernel handles. */
  readonly rowsPerGroup: number;
  #device: GPUDevice;
  #reduce: string;
  #cache = new Map<string, Kernel>();

  constructor(device: GPUDevice, software: boolean) {
    this.#device = device;
    this.software = software;
    this.#reduce = software ? SHADERS.reduce_invocation : SHADERS.reduce_workgroup;
    this.rowsPerGroup = Number(/const ROWS = (\d+)u;/.exec(this.#reduce)?.[1]);
  }

  /** Kernel `name` with some of its WGSL constants set, for weights in a format if it reads any. */
  get(name: KernelName, constants?: Constants, format: 'f32' | WeightFormat = 'f32'): Kernel {
    let key: string = format === 'f32' ? name : `${name} ${format}`;
    for (const constant in constants) key += ` ${constant}=${constants[constant]}`;
    let kernel = this.#cache.get(key);
    if (!kernel) {
      kernel = this.#compile(name, key, format, constants);
      this.#cache.set(key, kernel);
    }
    return kernel;
  }

  #compile(name: KernelName, key: string, format: 'f32' | WeightFormat, constants: Constants = {}): Kernel {
    const own: string = SHADERS[name];
    const libraries = /^\/\/ uses: (.*)$/m.exec(own)?.[1].split(', ') ?? [];
    const linked = libraries.map((library) => {
      if (library === 'reduce') return this.#reduce;
      return SHADERS[library === 'weights' ? (`weights_${format}` as const) : (library as KernelName)];
    });
    const source = [own, ...linked].join('\n');
    const lanes: Constants =
      libraries.includes('reduce') && !this.software ? { LANES: WIDE.has(name) ? 256 : 64 } : {};
    const code = unroll(setConstants(source, { ...constants, ...lanes }));
    const storages = [...source.matchAll(/@binding\((\d+)\) var<storage, (read|read_write)>/g)];
    const bindings = storages.map((match) => Number(match[1]));
    const writes = storages.map((match) => match[2] === 'read_write');
    const struct = /struct Params \{([^}]*)\}/.exec(own)?.[1] ?? '';
    const params = [...struct.matchAll(/(\w+): ([uf])32/g)].map((match) => ({
      name: match[1],
      isFloat: match[2] === 'f',
    }));
    const layout = this.#device.createBindGroupLayout({
      label: key,
      entries: [
        {
          binding: 0,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: params.length * 4 },
        },
        ...writes.map((written, index) => ({
          binding: bindings[index],
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: written ? ('storage' as const) : ('read-only-storage' as const) },
        })),
      ],
    });
    const pipeline = this.#device.createComputePipeline({
      label: key,
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: this.#device.createShaderModule({ label: key, code }), entryPoint: 'main' },
    });
    return { id: this.#cache.size, name: key, pipeline, layout, params, bindings, writes };
  }
}
