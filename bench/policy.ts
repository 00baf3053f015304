/**
 * Tokens a second of a policy: hidden states, prefill, decode, scoring and DPO steps.
 *
 *     node bench/policy.ts [--device auto|webgpu|cpu] [--threads n] [--model folder | --shape name | --layers n]
 *                          [--dtype name] [--rows n] [--prompt-tokens n] [--new-tokens n] [--pairs n] [--steps n] [--json]
 *
 * Without arguments: ../shared/models/stories260K, 128 rows of a 12-token prompt, 64 new tokens. `--shape` takes
 * random weights of the shape of SmolLM2-135M or Qwen2.5-0.5B instead, with so many `--layers` (SmolLM2-135M, all). DPO takes so many steps (2) of so many pairs (16).
 * `--json` prints the rates as one object: bench/engines.ts compares them with other programs.
 */
import { parseArgs } from 'node:util';
import { type DeviceChoice, openEngine } from '../src/host/device.ts';
import { DiskFolder } from '../src/host/disk.ts';
import type { Dtype } from '../src/model/dtype.ts';
import { generate } from '../src/model/generate.ts';
import { forward, tokenBatch } from '../src/model/llama.ts';
import { sequenceLogps } from '../src/model/logps.ts';
import { addAdapter, loadPolicy } from '../src/model/policy.ts';
import { Random } from '../src/random.ts';
import { referenceLogps } from '../src/train/dpo.ts';
import { trainDpo } from '../src/train/trainer.ts';
import { randomPolicy, shapeConfig } from './random_policy.ts';

const { values: given } = parseArgs({
  options: {
    device: { type: 'string', default: 'auto' },
    threads: { type: 'string' },
    model: { type: 'string', default: new URL('../../shared/models/stories260K', import.meta.url).pathname },
    shape: { type: 'string' },
    layers: { type: 'string' },
    dtype: { type: 'string', default: 'float32' },
    rows: { type: 'string', default: '128' },
    'prompt-tokens': { type: 'string', default: '12' },
    'new-tokens': { type: 'string', default: '64' },
    pairs: { type: 'string', default: '16' },
    steps: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
});
const rows = Number(given.rows);
const maxNewTokens = Number(given['new-tokens']);
const pairCount = Number(given.pairs);
const promptLength = Number(given['prompt-tokens']);
const steps = Number(given.steps);

const threads = given.threads === undefined ? undefined : Number(given.threads);
const engine = await openEngine(given.device as DeviceChoice, { threads });
const layers = given.layers === undefined ? undefined : Number(given.layers);
const shape = given.shape ?? (layers && 'SmolLM2-135M');
const policy = shape
  ? await randomPolicy(engine, shapeConfig(shape, layers), given.dtype as Dtype)
  : await loadPolicy(engine, new DiskFolder(given.model));
// An end of its own would make the work depend on the text.
const endless = { ...policy, eosIds: [] };
const random = new Random([1, 2]);
const ids = (count: number) => Array.from({ length: count }, () => random.below(policy.config.vocabSize));
const prompts = Array.from({ length: rows }, (_, row) => ({
  ids: ids(promptLength),
  stream: [row, 0] as const,
}));
const completions = prompts.map((prompt) => ({ promptIds: prompt.ids, completionIds: ids(maxNewTokens) }));
const pairs = Array.from({ length: pairCount }, () => ({
  promptIds: ids(promptLength),
  chosenIds: ids(maxNewTokens),
  rejectedIds: ids(maxNewTokens),
}));

const rates: Record<string, number> = {};

/** The best of three runs, the first of which compiles the kernels, or of as many as start within 10 seconds. */
async function measure(name: string, tokens: number, work: () => Promise<unknown>): Promise<void> {
  const began = performance.now();
  let best = Infinity;
  for (let run = 0; run < 3 && performance.now() - began < 10_000; run++) {
    const start = performance.now();
    await work();
    best = Math.min(best, (performance.now() - start) / 1000);
  }
  rates[name] = tokens / best;
  const rate = Math.round(rates[name]).toLocaleString('en');
  if (!given.json)
    console.log(`${name.padEnd(12)} ${best.toFixed(2).padStart(7)} s   ${rate.padStart(9)} tokens/s`);
}

const { description, vendor } = engine.info;
const where = [description, vendor].filter(Boolean).join(', ');
const task = `${rows} rows, prompts of ${promptLength}, ${maxNewTokens} new tokens, ${pairCount} pairs`;
if (!given.json) console.log(`${policy.name} on ${where}; ${task}`);
const sampling = { key: [3, 4] as const, batchSize: rows };
const hidden = engine.tensor([1]);
await measure('hidden', rows * promptLength, async () => {
  const batch = tokenBatch(
    policy,
    prompts.map((prompt) => prompt.ids),
  );
  engine.copy(hidden, engine.view(forward(policy, batch), 0, [1]));
  await engine.read(hidden);
});
await measure('prefill', rows * promptLength, () =>
  generate(endless, prompts, { ...sampling, maxNewTokens: 1 }),
);
await measure('decode', rows * maxNewTokens, () => generate(endless, prompts, { ...sampling, maxNewTokens }));
await measure('log-probs', rows * (promptLength + maxNewTokens), () => sequenceLogps(policy, completions));
addAdapter(policy, { r: 8, lora_alpha: 16, target_modules: ['all-linear'] }, 0);
const reference = await referenceLogps(policy, pairs);
const config = { per_device_train_batch_size: pairCount, max_steps: steps };
await measure('DPO', steps * pairCount * 2 * (promptLength + maxNewTokens), () =>
  trainDpo(policy, pairs, config, { reference }),
);
if (given.json) console.log(JSON.stringify({ engine: where, rates, peak: engine.memory().peak }));
engine.destroy();
