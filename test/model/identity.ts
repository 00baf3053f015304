/** Prints the driver and the digests of sampled tokens and of a trained adapter; hosts.test.ts compares hosts. */
import { sha256 } from '../../src/data/hash.ts';
import { generate } from '../../src/model/generate.ts';
import { addAdapter } from '../../src/model/policy.ts';
import { trainDpo } from '../../src/train/trainer.ts';
import { engines } from './engines.ts';
import { loadStories } from './golden.ts';

const engine = await engines.find(({ name }) => name === 'WebGPU')!.open();
const policy = await loadStories(engine);
const prompts = ['Once upon a time', 'The big dog', 'Tim saw'].map((text) => policy.tokenizer.encode(text));
const rows = prompts.flatMap((ids, row) => [0, 1].map((draw) => ({ ids, stream: [row, draw] as const })));
const sampling = { maxNewTokens: 12, temperature: 1, topP: 0.95, key: [1, 2] as const };
const before = await generate(policy, rows, sampling);
const pairs = prompts.map((promptIds, row) => ({
  promptIds,
  chosenIds: before[2 * row].ids,
  rejectedIds: before[2 * row + 1].ids,
  label: 0.8,
}));
addAdapter(policy, { r: 4, lora_alpha: 8, target_modules: ['all-linear'] }, 5);
const metrics: unknown[] = [];
const config = { per_device_train_batch_size: 2, num_train_epochs: 1, warmup_ratio: 0, learning_rate: 0.01 };
await trainDpo(policy, pairs, config, { onMetrics: (row) => void metrics.push(row) });
const after = await generate(policy, rows, sampling);
const adapter = await policy.adapter!.read();
console.log(engine.info.description);
console.log(await sha256(JSON.stringify([before, after])));
console.log(await sha256(JSON.stringify(metrics)));
console.log(await sha256(new Uint8Array(adapter.buffer)));
engine.destroy();
