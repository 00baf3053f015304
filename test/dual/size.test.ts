import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { expect, test } from 'vitest';
import { ROOT } from '../support/shared.ts';

/** The bundle as build.mjs makes it; whatever an import leaves open fails the build. */
const { metafile, outputFiles } = await build({
  absWorkingDir: ROOT,
  entryPoints: ['src/dual.ts'],
  bundle: true,
  format: 'esm',
  target: 'es2023',
  platform: 'neutral',
  minify: true,
  write: false,
  metafile: true,
  logLevel: 'silent',
});
const [{ contents }] = outputFiles;

test('the entry dualign/dual is below 40 kB compressed, WebAssembly included', () => {
  expect(contents.length).toBeGreaterThan(20_000);
  expect(gzipSync(contents, { level: 9 }).length).toBeLessThan(40_000);
  expect(brotliCompressSync(contents).length).toBeLessThan(36_000);
});

test('it holds the dual alone: no package, no GPU, no ONNX, no module of Node', () => {
  const files = Object.keys(metafile.inputs);
  const own =
    /^src\/(dual(\/\w+)?|generated\/wasm|host\/(dual_threads|threads)|errors|pool|random|wasm)\.ts$/;
  expect(files.filter((file) => !own.test(file))).toEqual([]);
  expect(Object.values(metafile.outputs).flatMap(({ imports }) => imports)).toEqual([]);
  expect(new TextDecoder().decode(contents)).not.toMatch(/onnx|webgpu|gpu\b|from\s*["']/i);
});
