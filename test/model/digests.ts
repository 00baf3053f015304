import { sha256 } from '../../src/data/hash.ts';
import { generate } from '../../src/model/generate.ts';
import { addAdapter, type Policy } from '../../src/model/policy.ts';
import { trainDpo } from '../../src/train/trainer.ts';

/** sha-256 of tokens sampled before and after a short training, of its metrics and of the adapter. */
export async function modelDigests(policy: Policy): Promise<string[]> {
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
  const config = {
    per_device_train_batch_size: 2,
    num_train_epochs: 1,
    warmup_ratio: 0,
    learning_rate: 0.01,
  };
  await trainDpo(policy, pairs, config, { onMetrics: (row) => void metrics.push(row) });
  const after = await generate(policy, rows, sampling);
  const adapter = await policy.adapter!.read();
  return [
    await sha256(JSON.stringify([before, after])),
    await sha256(JSON.stringify(metrics)),
    await sha256(new Uint8Array(adapter.buffer)),
  ];
}
