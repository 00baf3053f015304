/**
 * The half of parity_on_policy.py that computes with dualign:
 *
 *     node bench/parity_on_policy.ts MODEL WORK cpu|webgpu grpo|rloo lora|full
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { toJsonl } from '../src/data/jsonl.ts';
import { type DeviceChoice, openEngine } from '../src/host/device.ts';
import { DiskFolder } from '../src/host/disk.ts';
import { loadAdapter } from '../src/model/peft.ts';
import { loadPolicy } from '../src/model/policy.ts';
import { trainGrpo, trainRloo } from '../src/train/on_policy.ts';
import type { RewardFunctions } from '../src/train/rollouts.ts';
import { weightsTrainable } from '../src/train/trainable.ts';

const [model, work, device, trainer, what] = process.argv.slice(2);
const json = <T>(name: string): T => JSON.parse(readFileSync(join(work, name), 'utf8')) as T;
const { lambda, ...settings } = json<{ lambda: number }>('settings.json');
const engine = await openEngine(device as DeviceChoice);
const policy = await loadPolicy(engine, new DiskFolder(model));
if (what === 'lora') {
  policy.adapter = await loadAdapter(engine, policy.config, new DiskFolder(join(work, 'start')));
}

/** Whatever differs from completion to completion; parity_on_policy.py holds the same functions. */
const rewards: RewardFunctions = {
  names: ['reward', 'safety_1'],
  weights: [1, lambda],
  score: async (rows) =>
    rows.map(({ completionIds: ids }) => [
      ids.reduce((sum, id, t) => sum + (((id * 37) % 101) + t) / 23, 0) / ids.length,
      -ids.filter((id) => id % 3 === 0).length / 4,
    ]),
};
const generations: unknown[] = [];
const metrics: unknown[] = [];
await (trainer === 'grpo' ? trainGrpo : trainRloo)(
  policy,
  json<number[][]>('prompts.json'),
  rewards,
  settings,
  {
    onGenerated: ({ rows, slices }) => {
      const prompts = rows.map(({ rollout }) => rollout.promptIds);
      const completions = rows.map(({ rollout }) => rollout.completionIds);
      const advantages = rows.map(({ advantage }) => advantage);
      generations.push({
        prompts,
        completions,
        advantages,
        order: slices.flat().map((row) => rows.indexOf(row)),
      });
    },
    onMetrics: (row) => void metrics.push(row),
  },
  what === 'full' ? weightsTrainable(policy) : undefined,
);
writeFileSync(join(work, 'generations.json'), JSON.stringify(generations));
writeFileSync(join(work, 'metrics.jsonl'), toJsonl(metrics));
engine.destroy();
