import type { Policy } from '../../src/model/policy.ts';
import { type Generated, type OnPolicyMetrics, trainGrpo, trainRloo } from '../../src/train/on_policy.ts';
import type { Trainable } from '../../src/train/trainable.ts';
import { type Options, PROMPTS, rewards, SHARED, type Trainer } from './on_policy_reference.ts';

/** Trains on the prompts of the tests, from a checkpoint where there is one, and returns all that it told. */
export async function trainTold(
  trainer: Trainer,
  policy: Policy,
  options: Options,
  resume?: Uint8Array,
  trainable?: Trainable,
) {
  const generated: Generated[] = [];
  const metrics: OnPolicyMetrics[] = [];
  const checkpoints: Uint8Array[] = [];
  const hooks = {
    resume,
    onGenerated: (all: Generated) => void generated.push(all),
    onMetrics: (row: object) => void metrics.push(row as OnPolicyMetrics),
    onCheckpoint: (bytes: Uint8Array) => void checkpoints.push(bytes),
  };
  const run = trainer === 'grpo' ? trainGrpo : trainRloo;
  await run(policy, PROMPTS, rewards, { ...SHARED, ...options }, hooks, trainable);
  return { generated, metrics, checkpoints };
}
