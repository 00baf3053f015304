/** The half of parity_models.py that computes with dualign: node bench/parity_models.ts FOLDER_OF_MODELS cpu|webgpu */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { type DeviceChoice, openEngine } from '../src/host/device.ts';
import { DiskFolder } from '../src/host/disk.ts';
import { forward, tokenBatch } from '../src/model/llama.ts';
import { loadPolicy } from '../src/model/policy.ts';

const TOLERANCE = 1e-4;

const [root, device] = process.argv.slice(2);
const engine = await openEngine(device as DeviceChoice);
let failed = false;
for (const folder of readdirSync(root).sort((a, b) => Number(a) - Number(b))) {
  const path = join(root, folder);
  const { name, ids, logits } = JSON.parse(readFileSync(join(path, 'expected.json'), 'utf8')) as {
    name: string;
    ids: number[][];
    logits: number[];
  };
  const policy = await loadPolicy(engine, new DiskFolder(path));
  const hidden = forward(policy, tokenBatch(policy, ids));
  const out = engine.tensor([ids.length * ids[0].length, policy.config.vocabSize]);
  engine.matmul(out, hidden, policy.weights.head, { transposeB: true });
  const values = await engine.read(out);
  let [worst, largest] = [0, 0];
  logits.forEach((expected, i) => {
    worst = Math.max(worst, Math.abs(values[i] - expected));
    largest = Math.max(largest, Math.abs(expected));
  });
  const bad = !(worst < TOLERANCE) || values.length !== logits.length;
  failed ||= bad;
  console.log(
    `${bad ? 'FAIL' : 'ok  '} ${name.padEnd(32)} largest difference ${worst.toExponential(1)} of logits up to ${largest.toFixed(1)}`,
  );
}
engine.destroy();
process.exit(failed ? 1 : 0);
