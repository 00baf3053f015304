/**
 * Tokens a second of a policy: prefill, decode, scoring and DPO steps.
 *
 *     node bench/policy.ts [--device auto|webgpu|cpu] [--threads n] [--model folder | --layers n]
 *                          [--rows n] [--new-tokens n] [--pairs n]
 *
 * Without arguments: ../shared/models/stories260K, 128 rows of a 12-token prompt, 64 new tokens. `--layers` takes
 * random weights of the shape of SmolLM2-135M (30 layers) instead. DPO takes two steps of so many pairs (16).
 */
import { parseArgs } from 'node:util';
import { type DeviceChoice, openEngine } from '../src/host/device.ts';
import { DiskFolder } from '../src/host/disk.ts';
import { generate } from '../src/model/generate.ts';
import { sequenceLogps } from '../src/model/logps.ts';
import { addAdapter, loadPolicy } from '../src/model/policy.ts';
import { Random } from '../src/random.ts';
import { referenceLogps } from '../src/train/dpo.ts';
import { trainDpo } from '../src/train/trainer.ts';
import { randomPolicy } from './random_policy.ts';

const { values: given } = parseArgs({
  options: {
    device: { type: 'string', default: 'auto' },
    threads: { type: 'string' },
    model: { type: 'string', default: new URL('../../shared/models/stories260K', import.meta.url).pathname },
    layers: { type: 'string' },
    rows: { type: 'string', default: '128' },
    'new-tokens': { type: 'string', default: '64' },
    pairs: { type: 'string', default: '16' },
  },
});
const rows = Number(given.rows);
const maxNewTokens = Number(given['new-tokens']);
const pairCount = Number(given.pairs);
const PROMPT = 12;
const STEPS = 2;

const threads = given.threads === undefined ? undefined : Number(given.threads);
const engine = await openEngine(given.device as DeviceChoice, threads);
const policy = given.layers
  ? await randomPolicy(engine, Number(given.layers))
  : await loadPolicy(engine, new DiskFolder(given.model));
// An end of its own would make the work depend on the text.
const endless = { ...policy, eosIds: [] };
const random = new Random([1, 2]);
const ids = (count: number) => Array.from({ length: count }, () => random.below(policy.config.vocabSize));
const prompts = Array.from({ length: rows }, (_, row) => ({ ids: ids(PROMPT), stream: [row, 0] as const }));
const completions = prompts.map((prompt) => ({ promptIds: prompt.ids, completionIds: ids(maxNewTokens) }));
const pairs = Array.from({ length: pairCount }, () => ({
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

const { description, vendor } = engine.info;
const where = [description, vendor].filter(Boolean).join(', ');
console.log(
  `${policy.name} on ${where}; ${rows} rows, prompts of ${PROMPT}, ${maxNewTokens} new tokens, ${pairCount} pairs`,
);
const sampling = { key: [3, 4] as const, batchSize: rows };
await measure('prefill', rows * PROMPT, () => generate(endless, prompts, { ...sampling, maxNewTokens: 1 }));
await measure('decode', rows * maxNewTokens, () => generate(endless, prompts, { ...sampling, maxNewTokens }));
await measure('log-probs', rows * (PROMPT + maxNewTokens), () => sequenceLogps(policy, completions));
addAdapter(policy, { r: 8, lora_alpha: 16, target_modules: ['all-linear'] }, 0);
const reference = await referenceLogps(policy, pairs);
const config = { per_device_train_batch_size: pairCount, max_steps: STEPS };
await measure('DPO', STEPS * pairCount * 2 * (PROMPT + maxNewTokens), () =>
  trainDpo(policy, pairs, config, { reference }),
);
engine.destroy();
