/** What the panel calls the settings of learning and aligning. */
import { type Words, wordsOf } from '../../src/host/page/wording.ts';
import type { Settings } from './state.ts';

/** Settings that are numbers. */
export const FIELDS: readonly {
  readonly name: Exclude<keyof Settings, 'device'>;
  readonly label: string;
  readonly min: number;
  readonly step: number | 'any';
}[] = [
  { name: 'prompts', label: 'Questions, at most', min: 4, step: 1 },
  { name: 'responses', label: 'Answers to each', min: 2, step: 1 },
  { name: 'max_new_tokens', label: 'Longest answer, in tokens', min: 1, step: 1 },
  { name: 'num_train_epochs', label: 'Passes over the data', min: 1, step: 1 },
  { name: 'learning_rate', label: 'Learning rate', min: 0, step: 'any' },
  { name: 'beta', label: 'Nearness to the original (β)', min: 0, step: 'any' },
];

export const RUNS_ON = 'Runs on';
export const DEVICES: Readonly<Record<Settings['device'], string>> = {
  auto: 'the graphics card, else the processor',
  webgpu: 'WebGPU, a software driver too',
  cpu: 'the processor',
};

/** For errors and notes of a run; all of these stand under Data. */
export const WORDS: Words = {
  ...wordsOf(FIELDS.filter(({ name }) => name !== 'prompts')),
  '--device': `“${RUNS_ON}”`,
  '--device webgpu': `“${RUNS_ON}”: ${DEVICES.webgpu}`,
};
