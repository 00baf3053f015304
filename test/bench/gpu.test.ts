/** The table that people with a GPU make, at a size for a driver without one. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { noGpu } from '../engine/support.ts';
import { ROOT } from '../support/shared.ts';

it.skipIf(noGpu)('bench/gpu.ts --tiny gives a figure for every product and every phase', () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'bench/gpu.ts'), '--tiny', '--peak', '50'],
    {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '' },
    },
  );
  expect(status, stderr).toBe(0);
  for (const form of ['NT', 'NN', 'TN']) {
    for (const kernel of ['registers, small tiles', 'registers, large tiles', 'shared by a workgroup']) {
      expect(stdout).toMatch(
        new RegExp(`^product 128³, ${kernel}, ${form} +[\\d.,]+ GFLOP/s +\\d+ % of peak$`, 'm'),
      );
    }
  }
  for (const phase of ['prefill', 'decode', 'LoRA-DPO', 'forward']) {
    expect(stdout).toMatch(new RegExp(`^tiny, ${phase} +[\\d.,]+ tokens/s$`, 'm'));
  }
  expect(stdout).toMatch(/^tiny, memory of the engine +\d+ MiB {2}at most$/m);
  expect(stdout).toMatch(/^tiny, forward, onnxruntime-web +([\d.,]+ tokens\/s|left out) /m);
  expect(stdout).toMatch(/^tiny, PyTorch +(float32|left out) /m);
  expect(stdout).toMatch(/^product 128³, jax-js +left out {2}see --jax$/m);
});
