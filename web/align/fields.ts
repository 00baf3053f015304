/** What the page calls the settings of a run. */
import { type Words, wordsOf } from '../../src/host/page/wording.ts';
import type { Settings, Setup } from './setup.ts';

/** Settings that are numbers; `min` is the least that a run takes. */
export const FIELDS: readonly {
  readonly name: keyof Settings;
  readonly label: string;
  readonly hint: string;
  readonly step: string;
  readonly min: number;
}[] = [
  {
    name: 'responses',
    label: 'Answers to each prompt',
    hint: 'more give a surer price of safety',
    step: '1',
    min: 2,
  },
  { name: 'max_new_tokens', label: 'Longest answer, in tokens', hint: '', step: '1', min: 1 },
  {
    name: 'beta',
    label: 'How dear change is: β',
    hint: 'the weight of the KL divergence',
    step: 'any',
    min: 0,
  },
  {
    name: 'num_train_epochs',
    label: 'Times the pairs are learned from',
    hint: 'epochs',
    step: '1',
    min: 1,
  },
  { name: 'learning_rate', label: 'Learning rate', hint: '', step: 'any', min: 0 },
  {
    name: 'per_device_train_batch_size',
    label: 'Pairs learned from at once',
    hint: 'batch size',
    step: '1',
    min: 1,
  },
  { name: 'lora_r', label: 'Size of the adapter', hint: 'rank r of LoRA', step: '1', min: 1 },
  {
    name: 'save_steps',
    label: 'Steps between checkpoints',
    hint: 'what a closed page loses at most',
    step: '1',
    min: 1,
  },
  {
    name: 'eval_fraction',
    label: 'Prompts held out for the check',
    hint: 'a part of all',
    step: 'any',
    min: 0,
  },
  { name: 'seed', label: 'Seed', hint: 'the same seed gives the same run', step: '1', min: 0 },
];

export const MARGIN = 'How much safer than today?';
export const RUNS_ON = 'Where it runs';
export const DEVICES: Readonly<Record<Setup['device'], string>> = {
  auto: 'whatever is best',
  webgpu: 'graphics card (WebGPU)',
  cpu: 'processor (WebAssembly)',
};
export const TEMPLATE = 'Prompts of plain text';
export const TEMPLATES: Readonly<Record<Setup['chatTemplate'], string>> = {
  auto: 'are texts to go on with',
  always: 'are questions in a chat',
};

/** For errors and notes of a run. */
export const WORDS: Words = {
  ...wordsOf(FIELDS),
  '--margin': `“${MARGIN}”`,
  '--device': `“${RUNS_ON}”`,
  '--device webgpu': `“${RUNS_ON}”: ${DEVICES.webgpu}`,
  '--chat-template always': `“${TEMPLATE}”: ${TEMPLATES.always}`,
};
