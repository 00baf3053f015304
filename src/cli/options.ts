import { type Command, Option } from 'commander';
import type { RunOptions } from '../align/config.ts';
import { gibibytes, positiveInteger } from './option_values.ts';
import { RUN_OPTIONS, type RunGroup } from './run_options.ts';
import { TRAINING_OPTIONS, type TrainingGroup } from './training_options.ts';

/** Groups of options; a command takes those that its stage reads. */
export type OptionGroup = RunGroup | TrainingGroup;

const OPTIONS = { ...RUN_OPTIONS, ...TRAINING_OPTIONS };

/** Adds the options that say what a run may use of the machine: no settings of the run. */
export function addResourceOptions(command: Command): Command {
  return command
    .option('--threads <n>', 'threads of the cpu device (all cores, at most 8)', positiveInteger)
    .option(
      '--memory <GiB>',
      'most memory to use on the device; the cpu device has 4 at most, a GPU does not say how much it has',
      gibibytes,
    );
}

/**
 * Adds options to a command. Values land in the returned object under the names of RunConfig, and only those the user
 * gave: what is left out comes from the run folder, else from RunConfig's defaults.
 */
export function addRunOptions(command: Command, groups: readonly OptionGroup[]): RunOptions {
  const options: RunOptions = {};
  for (const group of groups) {
    for (const [flags, description, parse] of OPTIONS[group]) {
      const option = new Option(flags, description);
      // What is true when it is named alone.
      if (option.optional) option.preset('true');
      const name = option.attributeName().replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      command.addOption(
        option.argParser((text: string) => {
          const value = parse ? parse(text) : text;
          store(options, name, value);
          return value;
        }),
      );
    }
  }
  return options;
}

function store(options: RunOptions, name: string, value: unknown): void {
  if (name === 'cost' || name === 'safety') {
    options.constraints = [
      ...(options.constraints ?? []),
      { scorer: value as string, cost: name === 'cost' },
    ];
  } else if (name === 'safe') {
    options.method = 'pecan';
    options.constraints = [...(options.constraints ?? []), { scorer: value as string, cost: false }];
  } else if (name === 'helpful') {
    options.method = 'pecan';
    options.reward = value as string;
  } else if (name === 'margin' || name === 'threshold') {
    options.limits = [...(options.limits ?? []), { kind: name, value: value as number }];
  } else if (name === 'measure' || name === 'measure_cost') {
    options.measures = [
      ...(options.measures ?? []),
      { scorer: value as string, cost: name === 'measure_cost' },
    ];
  } else if (name === 'stop') {
    options.stop = [...(options.stop ?? []), value as string];
  } else if (name === 'lambda') {
    options.lambda = [...(options.lambda ?? []), value as number];
  } else {
    const key = name === 'target_modules' ? 'lora_target_modules' : name;
    Object.assign(options, { [key]: value });
  }
}
