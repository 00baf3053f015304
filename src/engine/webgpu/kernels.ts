import { SHADERS } from '../../generated/shaders.ts';
import { setConstants, unroll } from './source.ts';

export type KernelName = keyof typeof SHADERS;

export interface Kernel {
  readonly id: number;
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** Members of `struct Params` in order. All are 32 bits wide, so their offsets are 0, 4, 8, … */
  readonly params: readonly { readonly name: string; readonly isFloat: boolean }[];
  /** Whether each storage binding, from binding 1 on, is written. */
  readonly writes: readonly boolean[];
}

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

  /** Kernel `name` with some of its WGSL constants set. */
  get(name: KernelName, constants?: Constants): Kernel {
    let key: string = name;
    for (const constant in constants) key += ` ${constant}=${constants[constant]}`;
    let kernel = this.#cache.get(key);
    if (!kernel) {
      kernel = this.#compile(name, key, constants);
      this.#cache.set(key, kernel);
    }
    return kernel;
  }

  #compile(name: KernelName, key: string, constants: Constants = {}): Kernel {
    const own: string = SHADERS[name];
    const libraries = /^\/\/ uses: (.*)$/m.exec(own)?.[1].split(', ') ?? [];
    const linked = libraries.map((library) =>
      library === 'reduce' ? this.#reduce : SHADERS[library as KernelName],
    );
    const code = unroll(setConstants([own, ...linked].join('\n'), constants));
    const writes = [...own.matchAll(/var<storage, (read|read_write)>/g)].map(
      (match) => match[1] === 'read_write',
    );
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
          binding: index + 1,
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
    return { id: this.#cache.size, name: key, pipeline, layout, params, writes };
  }
}
