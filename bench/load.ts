/**
 * How fast a model's weights come from the disk onto the device, and what the process takes meanwhile.
 *
 *     node bench/load.ts [--shape Llama-3.2-1B] [--layers n] [--device cpu|webgpu] [--threads n] [--dtype nf4 …]
 *
 * Writes a folder with random weights of the shape in bfloat16, in shards as the hub has it, and loads it, from the
 * system's cache of the disk, in each format of `--dtype` (all) in a process of its own; then removes it.
 */
import { execFileSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type DeviceChoice, openEngine } from '../src/host/device.ts';
import { DiskFolder, temporaryFolder } from '../src/host/disk.ts';
import type { Dtype } from '../src/model/dtype.ts';
import { loadPolicy } from '../src/model/policy.ts';
import { writeRandomFolder } from './random_folder.ts';

const { values: given } = parseArgs({
  options: {
    shape: { type: 'string', default: 'Llama-3.2-1B' },
    layers: { type: 'string' },
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string' },
    dtype: { type: 'string', multiple: true, default: ['float32', 'float16', 'bfloat16', 'nf4'] },
    folder: { type: 'string' },
  },
});

if (given.folder === undefined) {
  const { path, remove } = await temporaryFolder('dualign-load-');
  try {
    await writeRandomFolder(path, given.shape, given.layers === undefined ? undefined : Number(given.layers));
    for (const dtype of given.dtype) {
      const options = ['--device', given.device, '--dtype', dtype, '--folder', path];
      if (given.threads) options.push('--threads', given.threads);
      try {
        execFileSync('node', [fileURLToPath(import.meta.url), ...options], { stdio: 'inherit' });
      } catch {
        process.exitCode = 1;
      }
    }
  } finally {
    await remove();
  }
} else await measure(given.folder, given.dtype[0] as Dtype);

async function measure(path: string, dtype: Dtype): Promise<void> {
  const threads = given.threads === undefined ? undefined : Number(given.threads);
  const engine = await openEngine(given.device as DeviceChoice, { threads });
  const start = performance.now();
  const { weights } = await loadPolicy(engine, new DiskFolder(path), { dtype });
  await engine.read(engine.view(weights.norm, 0, [1]));
  const seconds = (performance.now() - start) / 1000;
  const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  console.log(
    `${dtype.padEnd(9)} ${seconds.toFixed(1)} s; the engine holds ${mebibytes(engine.memory().live)}, ` +
      `the process took ${mebibytes(process.resourceUsage().maxRSS * 1024)} at most`,
  );
  engine.destroy();
}
