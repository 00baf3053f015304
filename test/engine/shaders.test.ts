/** Every kernel, as it reaches a device, goes through both compilers of WGSL: Tint (Chromium, Dawn) and Naga (Deno, Firefox). */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type KernelName, Kernels } from '../../src/engine/webgpu/kernels.ts';
import { SHADERS } from '../../src/generated/shaders.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-wgsl-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const COMPILERS: readonly [name: string, args: (file: string) => string[]][] = [
  ['tint', (file) => ['--format', 'wgsl', file]],
  ['naga', (file) => [file]],
];

function exists(compiler: string): boolean {
  try {
    execFileSync(compiler, ['--help'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    // One that is there but dislikes the flag is there.
    return (error as { code?: string }).code !== 'ENOENT';
  }
}

/** The code that a device is given for each kernel, with the constants its file holds. */
function linked(software: boolean): [string, string][] {
  const codes: [string, string][] = [];
  const device = {
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createComputePipeline: () => ({}),
    createShaderModule: ({ label = '', code }: GPUShaderModuleDescriptor) => codes.push([label, code]),
  } as unknown as GPUDevice;
  Object.assign(globalThis, { GPUShaderStage: { COMPUTE: 4 } });
  const kernels = new Kernels(device, software);
  for (const [name, source] of Object.entries(SHADERS)) {
    if (!source.includes('@compute')) continue;
    const settable = source.matchAll(/^const (\w+) = (\d+)u; \/\/ .*set by the host$/gm);
    const constants = Object.fromEntries(Array.from(settable, (m) => [m[1], Number(m[2])]));
    const formats = /^\/\/ uses: .*weights/m.test(source)
      ? (['f32', 'f16', 'bf16', 'nf4'] as const)
      : [undefined];
    for (const format of formats) kernels.get(name as KernelName, constants, format);
  }
  return codes;
}

describe.each(COMPILERS)('%s', (compiler, args) => {
  it.skipIf(!exists(compiler))('accepts every kernel', () => {
    for (const software of [true, false]) {
      const codes = linked(software);
      expect(codes.length).toBeGreaterThan(20);
      for (const [label, code] of codes) {
        // Naga has no subgroups: no device of its browsers and runtimes offers the feature that this kernel asks for.
        if (compiler === 'naga' && code.includes('enable subgroups;')) continue;
        const file = join(folder, 'kernel.wgsl');
        writeFileSync(file, code);
        try {
          execFileSync(compiler, args(file), { stdio: 'pipe' });
        } catch (error) {
          throw new Error(`${label}: ${(error as { stderr?: Buffer }).stderr}`);
        }
      }
    }
  });

  it.skipIf(!exists(compiler))('refuses what is wrong', () => {
    const file = join(folder, 'wrong.wgsl');
    writeFileSync(file, '@compute @workgroup_size(1) fn main() { let x: u32 = 1.5; }');
    expect(() => execFileSync(compiler, args(file), { stdio: 'pipe' })).toThrow(/u32/);
  });
});
