/**
 * The half of parity_trl.py that computes with dualign:
 *
 *     node bench/parity_trl.ts train MODEL WORK cpu|webgpu
 *     node bench/parity_trl.ts logits MODEL WORK cpu|webgpu ADAPTER
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { encodePrompt, encodeResponse } from '../src/align/encode.ts';
import { toJsonl } from '../src/data/jsonl.ts';
import { type DeviceChoice, openEngine } from '../src/host/device.ts';
import { DiskFolder } from '../src/host/disk.ts';
import { forward, tokenBatch } from '../src/model/llama.ts';
import { mergeAdapter } from '../src/model/lora.ts';
import { loadAdapter, saveAdapter } from '../src/model/peft.ts';
import { loadPolicy } from '../src/model/policy.ts';
import { groupBy, stepIndices } from '../src/train/order.ts';
import { DPO_DEFAULTS, type DpoConfig, type TrainMetrics, trainDpo } from '../src/train/trainer.ts';

const [task, model, work, device, adapterName] = process.argv.slice(2);
const json = <T>(name: string): T => JSON.parse(readFileSync(join(work, name), 'utf8')) as T;
const engine = await openEngine(device as DeviceChoice);
const policy = await loadPolicy(engine, new DiskFolder(model));

if (task === 'train') {
  const rows = json<{ prompt: string; chosen: string; rejected: string }[]>('rows.json');
  const settings: DpoConfig = { ...DPO_DEFAULTS, ...json<Partial<DpoConfig>>('settings.json') };
  const pairs = rows.map(({ prompt, chosen, rejected }) => {
    const promptIds = encodePrompt(policy, prompt);
    const response = (text: string) => encodeResponse(policy, prompt, promptIds, text, true);
    return { promptIds, chosenIds: response(chosen), rejectedIds: response(rejected) };
  });
  policy.adapter = await loadAdapter(engine, policy.config, new DiskFolder(join(work, 'start')));
  const metrics: TrainMetrics[] = [];
  await trainDpo(policy, pairs, settings, {
    onMetrics: async (row) => {
      metrics.push(row);
    },
  });
  const size = settings.per_device_train_batch_size;
  const order = { seed: settings.seed, groups: groupBy(pairs, ({ promptIds }) => promptIds.join()) };
  const steps = metrics.map((_, step) => stepIndices(order, step, Math.ceil(pairs.length / size), size));
  writeFileSync(join(work, 'order.json'), JSON.stringify(steps.flat()));
  writeFileSync(join(work, 'metrics.jsonl'), toJsonl(metrics));
  await saveAdapter(policy.adapter, new DiskFolder(join(work, 'ours')), model);
} else {
  const ids = json<number[][]>('ids.json');
  const adapter = await loadAdapter(engine, policy.config, new DiskFolder(join(work, adapterName)));
  const { weights } = mergeAdapter(policy, adapter);
  const hidden = forward({ ...policy, weights }, tokenBatch(policy, ids));
  const out = engine.tensor([ids.length * ids[0].length, policy.config.vocabSize]);
  engine.matmul(out, hidden, policy.weights.head, { transposeB: true });
  writeFileSync(join(work, 'logits.json'), JSON.stringify([...(await engine.read(out))]));
}
engine.destroy();
