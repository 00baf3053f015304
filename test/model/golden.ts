/** What float64 PyTorch computed on stories260K (shared/golden/stories260K-dpo), and the model itself. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseSafetensors } from '../../src/data/safetensors.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { DiskFolder } from '../../src/host/disk.ts';
import { Adapter } from '../../src/model/lora.ts';
import { loadPolicy, type Policy } from '../../src/model/policy.ts';

const shared = fileURLToPath(new URL('../../../shared/', import.meta.url));
const golden = `${shared}golden/stories260K-dpo/`;

export const storiesPath = `${shared}models/stories260K`;
export const hasFixtures = existsSync(storiesPath) && existsSync(golden);

export interface DpoGolden {
  readonly beta: number;
  readonly lora: { readonly r: number; readonly lora_alpha: number; readonly target_modules: string[] };
  readonly pairs: readonly {
    readonly prompt_ids: number[];
    readonly chosen_ids: number[];
    readonly rejected_ids: number[];
  }[];
  readonly ref_logps: { readonly chosen: number[]; readonly rejected: number[] };
  readonly policy_logps: { readonly chosen: number[]; readonly rejected: number[] };
  readonly loss: number;
  readonly grad_norm: number;
  readonly adamw: {
    readonly lr: number;
    readonly betas: [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    readonly loss_before_each_step: number[];
  };
}

export function goldenJson<T>(name: string): T {
  return JSON.parse(readFileSync(golden + name, 'utf8')) as T;
}

export function goldenTensors(name: string): Map<string, Float32Array> {
  const { tensors } = parseSafetensors(new Uint8Array(readFileSync(golden + name)), name);
  return new Map([...tensors].map(([key, tensor]) => [key, tensor.f32()]));
}

export function loadStories(engine: Engine): Promise<Policy> {
  return loadPolicy(engine, new DiskFolder(storiesPath));
}

/** The adapter that PyTorch started from. */
export function goldenAdapter(policy: Policy): Adapter {
  const adapter = new Adapter(policy.engine, policy.config, goldenJson<DpoGolden>('dpo.json').lora);
  adapter.assign(goldenTensors('lora_init.safetensors'));
  return adapter;
}

/** The largest |a − b| over two lists of one length. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths ${a.length} and ${b.length} differ`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i] - b[i]));
  return largest;
}
