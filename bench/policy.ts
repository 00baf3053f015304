/**
 * Tokens a second of a policy on this machine's WebGPU device: prefill, decode, scoring and DPO steps.
 *
 *     node bench/policy.ts [model folder] [rows] [new tokens]
 *
 * Without arguments: ../shared/models/stories260K, 128 rows of a 12-token prompt, 64 new tokens. DPO takes two
 * steps of 16 pairs of such responses.
 */
import { createWebGpuEngine } from '../src/engine/webgpu/engine.ts';
import { DiskFolder } from '../src/host/disk.ts';
import { requestDevice } from '../src/host/gpu.ts';
import { generate } from '../src/model/generate.ts';
import { sequenceLogps } from '../src/model/logps.ts';
import { addAdapter, loadPolicy } from '../src/model/policy.ts';
import { Random } from '../src/random.ts';
import { referenceLogps } from '../src/train/dpo.ts';
import { trainDpo } from '../src/train/trainer.ts';

const [
  path = new URL('../../shared/models/stories260K', import.meta.url).pathname,
  rowCount = '128',
  newTokens = '64',
] = process.argv.slice(2);
const rows = Number(rowCount);
const maxNewTokens = Number(newTokens);
const PROMPT = 12;
const PAIRS = 16;
const STEPS = 2;

const { device, info } = await requestDevice();
const engine = createWebGpuEngine(device, info);
const policy = await loadPolicy(engine, new DiskFolder(path));
// An end of its own would make the work depend on the text.
const endless = { ...policy, eosIds: [] };
const random = new Random([1, 2]);
const ids = (count: number) => Array.from({ length: count }, () => random.below(policy.config.vocabSize));
const prompts = Array.from({ length: rows }, (_, row) => ({ ids: ids(PROMPT), stream: [row, 0] as const }));
const completions = prompts.map((prompt) => ({ promptIds: prompt.ids, completionIds: ids(maxNewTokens) }));
const pairs = Array.from({ length: PAIRS }, () => ({
  promptIds: ids(PROMPT),
  chosenIds: ids(maxNewTokens),
  rejectedIds: ids(maxNewTokens),
}));

/** The best of three runs, the first of which compiles the kernels, or of as many as start within 10 seconds. */
async function measure(name: string, tokens: number, work: () => Promise<unknown>): Promise<void> {
  const began = performance.now();
  let best = Infinity;
  for (let run = 0; run < 3 && performance.now() - began < 10_000; run++) {
    const start = performance.now();
    await work();
    best = Math.min(best, (performance.now() - start) / 1000);
  }
  const rate = Math.round(tokens / best).toLocaleString('en');
  console.log(`${name.padEnd(12)} ${best.toFixed(2).padStart(7)} s   ${rate.padStart(9)} tokens/s`);
}

console.log(
  `${info.description} (${info.vendor}); ${rows} rows, prompts of ${PROMPT}, ${maxNewTokens} new tokens`,
);
const sampling = { key: [3, 4] as const, batchSize: rows };
await measure('prefill', rows * PROMPT, () => generate(endless, prompts, { ...sampling, maxNewTokens: 1 }));
await measure('decode', rows * maxNewTokens, () => generate(endless, prompts, { ...sampling, maxNewTokens }));
await measure('log-probs', rows * (PROMPT + maxNewTokens), () => sequenceLogps(policy, completions));
addAdapter(policy, { r: 8, lora_alpha: 16, target_modules: ['all-linear'] }, 0);
const reference = await referenceLogps(policy, pairs);
const config = { per_device_train_batch_size: PAIRS, max_steps: STEPS };
await measure('DPO', STEPS * PAIRS * 2 * (PROMPT + maxNewTokens), () =>
  trainDpo(policy, pairs, config, { reference }),
);
engine.destroy();
