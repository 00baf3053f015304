import type { CpuTensor } from './memory.ts';

/** The kernels' numbers of formats; assembly/policy/decode.ts holds the same. */
const FORMATS = { f32: 0, f16: 1, bf16: 2, nf4: 3 } as const;

export function formatOf({ dtype }: CpuTensor): number {
  if (dtype === 'u32') throw new Error('expected weights, got u32');
  return FORMATS[dtype];
}
