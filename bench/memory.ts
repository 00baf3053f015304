/**
 * Memory of a LoRA-DPO step on random weights of the shape of SmolLM2-135M: what is planned, what the engine holds and what
 * the process takes at most; of Chromium, what the page's process and that of its GPU take.
 *
 *     node bench/memory.ts [--device cpu|webgpu] [--threads n] [--layers 30] [--length 512] [--pairs 1]
 *                          [--dtype float32|float16|bfloat16|nf4] [--chromium]
 *
 * Half of each sequence is the prompt. The step is of all-linear LoRA with r = 8, with AdamW.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { DeviceChoice } from '../src/host/device.ts';
import type { Dtype } from '../src/model/dtype.ts';
import { type MemoryStep, type MemoryTaken, memoryStep } from './memory_step.ts';

const { values: given } = parseArgs({
  options: {
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string' },
    layers: { type: 'string', default: '30' },
    length: { type: 'string', default: '512' },
    pairs: { type: 'string', default: '1' },
    dtype: { type: 'string', default: 'float32' },
    chromium: { type: 'boolean', default: false },
  },
});
const step: MemoryStep = {
  device: given.device as DeviceChoice,
  threads: given.threads === undefined ? undefined : Number(given.threads),
  layers: Number(given.layers),
  length: Number(given.length),
  pairs: Number(given.pairs),
  dtype: given.dtype as Dtype,
};
const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;

function report(taken: MemoryTaken, processes: string): void {
  const { name, engine, weights, planned, live, peak, loss, gradNorm, seconds } = taken;
  console.log(`${name} on ${engine}: weights ${mebibytes(weights)}, planned ${mebibytes(planned)}`);
  console.log(`loss ${loss.toFixed(4)}, grad_norm ${gradNorm.toFixed(4)}`);
  console.log(
    `a step of ${step.pairs} pair(s) at length ${step.length}, reference log-probs included: ${seconds.toFixed(1)} s; ` +
      `the engine holds ${mebibytes(live)} live, ${mebibytes(peak)} at most; ${processes}`,
  );
}

/** Bytes of Chromium's processes that this one has started, by their type. */
function chromiumProcesses(): Map<string, number> {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid=,rss=,args='], { encoding: 'utf8' }).trim().split('\n');
  const processes = rows.map((row) => {
    const [, pid, parent, rss, command] = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(.*)$/.exec(row)!;
    return { pid, parent, bytes: Number(rss) * 1024, type: /--type=(\S+)/.exec(command)?.[1] };
  });
  const ours = new Set([String(process.pid)]);
  // A process may be listed before the one that started it.
  for (let before = 0; before < ours.size; ) {
    before = ours.size;
    for (const { pid, parent } of processes) if (ours.has(parent)) ours.add(pid);
  }
  const most = new Map<string, number>();
  for (const { pid, type, bytes } of processes) {
    if (type && ours.has(pid)) most.set(type, Math.max(most.get(type) ?? 0, bytes));
  }
  return most;
}

async function inChromium(): Promise<void> {
  const { build } = await import('esbuild');
  const { withPage } = await import('../test/hosts/support/browser.ts');
  const site = mkdtempSync(join(tmpdir(), 'dualign-memory-'));
  const root = join(import.meta.dirname, '..');
  const bundle = (contents: string, outfile: string) =>
    build({
      stdin: { contents, resolveDir: root },
      bundle: true,
      format: 'esm',
      platform: 'browser',
      outfile: join(site, outfile),
    });
  await bundle(
    `import { memoryStep } from './bench/memory_step.ts';
     onmessage = async ({ data }) => postMessage(await memoryStep(data).catch((error) => String(error)));`,
    'worker.js',
  );
  const page = `globalThis.step = (given) => new Promise((told) => {
    const worker = new Worker('worker.js', { type: 'module' });
    worker.onmessage = ({ data }) => told(data);
    worker.postMessage(given);
  });`;
  writeFileSync(join(site, 'index.html'), `<!doctype html><script type="module">${page}</script>`);
  const most = new Map<string, number>();
  await withPage(
    { '/': site },
    async (tab) => {
      const watch = setInterval(() => {
        for (const [type, bytes] of chromiumProcesses()) most.set(type, Math.max(most.get(type) ?? 0, bytes));
      }, 200);
      const taken = (await tab.evaluate(`step(${JSON.stringify(step)})`)) as MemoryTaken | string;
      clearInterval(watch);
      if (typeof taken === 'string') throw new Error(taken);
      const [renderer, gpu] = ['renderer', 'gpu-process'].map((type) => mebibytes(most.get(type) ?? 0));
      report(taken, `the page's process took ${renderer} at most, the GPU's ${gpu}`);
    },
    { isolated: true },
  );
}

if (given.chromium) await inChromium();
else {
  const taken = await memoryStep(step);
  report(taken, `the process took ${mebibytes(process.resourceUsage().maxRSS * 1024)} at most`);
}
