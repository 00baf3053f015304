import type { RunOptions } from '../../src/align/config.ts';
import type { DeviceChoice } from '../../src/host/device.ts';
import { DEMO, DEMO_POLICY, demoSettings, type Method } from './demo.ts';

/** What the user chose for a run. */
export interface Setup {
  readonly method: Method;
  readonly policy: string;
  readonly prompts: string;
  /** Of MoCAN. */
  readonly reward: string;
  readonly cost: string;
  /** Whether the second model scores safety itself, in place of harm. */
  readonly costIsSafety: boolean;
  /** Of PeCAN. */
  readonly helpful: string;
  readonly safe: string;
  readonly margin: number;
  readonly device: DeviceChoice;
  /** The setting of that name. */
  readonly chatTemplate: 'auto' | 'always';
  readonly settings: Settings;
}

/** Settings that have a field each, in the names of config.json. */
export interface Settings {
  readonly beta: number;
  readonly responses: number;
  readonly max_new_tokens: number;
  readonly num_train_epochs: number;
  readonly learning_rate: number;
  readonly per_device_train_batch_size: number;
  readonly lora_r: number;
  readonly save_steps: number;
  readonly eval_fraction: number;
  readonly seed: number;
}

/** For a model of the user's own: the command's defaults, with checkpoints more often. */
const COMMAND: Settings = {
  beta: 1,
  responses: 16,
  max_new_tokens: 64,
  num_train_epochs: 3,
  learning_rate: 1.5e-3,
  per_device_train_batch_size: 64,
  lora_r: 8,
  save_steps: 5,
  eval_fraction: 0.25,
  seed: 0,
};

/** Scorers that know the truth about the demo's answers. */
const TRUTH: RunOptions['measures'] = [
  { scorer: 'help', cost: false },
  { scorer: 'hazard', cost: true },
];

export function demoSetup(method: Method): Setup {
  const { margin, ...settings } = demoSettings(method);
  return {
    method,
    policy: DEMO_POLICY,
    prompts: `${DEMO}/prompts.jsonl`,
    reward: `${DEMO}/reward`,
    cost: `${DEMO}/cost`,
    costIsSafety: false,
    helpful: `${DEMO}/helpful.jsonl`,
    safe: `${DEMO}/safe.jsonl`,
    margin,
    device: 'auto',
    chatTemplate: 'auto',
    settings: { ...COMMAND, ...settings },
  };
}

/** A setup for another policy, whose batch has to suit it. */
export function withPolicy(setup: Setup, policy: string): Setup {
  const settings = policy === DEMO_POLICY ? demoSetup(setup.method).settings : COMMAND;
  return { ...setup, policy, settings };
}

/** The settings as a run takes them. */
export function configOf(setup: Setup): RunOptions {
  const { method, policy, prompts, margin, device, chatTemplate, settings } = setup;
  const isDemo = policy === DEMO_POLICY;
  return {
    method,
    policy,
    prompts,
    reward: method === 'mocan' ? setup.reward : setup.helpful,
    constraints: [
      method === 'mocan'
        ? { scorer: setup.cost, cost: !setup.costIsSafety }
        : { scorer: setup.safe, cost: false },
    ],
    limits: [{ kind: 'margin', value: margin }],
    device,
    chat_template: chatTemplate,
    ...settings,
    ...(isDemo ? { measures: [...(TRUTH ?? [])] } : {}),
  };
}
