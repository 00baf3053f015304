import { type Command, InvalidArgumentError, Option } from 'commander';
import type { RunOptions } from '../align/config.ts';
import { SCHEDULERS } from '../train/schedule.ts';

/** Groups of options; a command takes those that its stage reads. */
export type OptionGroup =
  | 'preferences'
  | 'comparison'
  | 'policy'
  | 'prompts'
  | 'sampling'
  | 'drawing'
  | 'generation'
  | 'scorers'
  | 'limits'
  | 'labels'
  | 'decoding'
  | 'training'
  | 'losses'
  | 'trainer'
  | 'alone'
  | 'on-policy'
  | 'grpo'
  | 'rloo';

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.');
  return value;
}

function integer(text: string): number {
  const value = number(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('expected a whole number.');
  return value;
}

export function positiveInteger(text: string): number {
  const value = integer(text);
  if (value < 1) throw new InvalidArgumentError('expected a whole number above 0.');
  return value;
}

/** Bytes of so many GiB. */
export function gibibytes(text: string): number {
  const value = number(text);
  if (value <= 0) throw new InvalidArgumentError('expected a number above 0.');
  return Math.floor(value * 2 ** 30);
}

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

function boolean(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new InvalidArgumentError('expected true or false.');
  return text === 'true';
}

function range(text: string): number[] {
  const ends = text.split(',').map(number);
  if (ends.length !== 2) throw new InvalidArgumentError('expected two numbers, lowest,highest.');
  return ends;
}

function list(text: string): string[] {
  return text.split(',').map((item) => item.trim());
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

type Row = readonly [flags: string, description: string, parse?: (text: string) => unknown];

/** How a token is drawn, and where a response ends. */
const DRAWING: readonly Row[] = [
  ['--max-new-tokens <n>', 'longest response in tokens (64)', integer],
  ['--temperature <t>', 'sampling temperature (1)', number],
  ['--top-k <k>', 'sample from the k most likely tokens; 0: all (0)', integer],
  ['--top-p <p>', 'sample from the most likely tokens that make up p; 1: all (1)', number],
  [
    '--repetition-penalty <p>',
    'logits of tokens that prompt or response hold are divided by p, or multiplied below 0 (1)',
    number,
  ],
  ['--stop <text>', 'text that ends a response, which is kept up to there; repeatable'],
  ['--generation-batch-size <n>', 'responses sampled at once (128)', integer],
];

const OPTIONS: Record<OptionGroup, readonly Row[]> = {
  policy: [
    ['--policy <model>', 'Hugging Face model folder, org/name[@revision] of a hub, or the URL of a folder'],
    [
      '--chat-template <which>',
      "auto: prompts of messages go through the model's chat template; always: plain prompts too; or a .jinja file (auto)",
    ],
    [
      '--device <name>',
      'where it runs: webgpu, cpu (same bits on every host), or auto: a GPU if there is one, else cpu (auto)',
    ],
    [
      '--dtype <name>',
      'what its weights are held as: float32, float16, bfloat16, nf4 (4 bits, as in QLoRA), or auto: float32 where they fit, else as stored (auto)',
    ],
  ],
  prompts: [
    ['--prompts <file>', 'prompts, JSON Lines with a field "prompt", or .txt with one a line'],
    ['--eval-prompts <file>', 'prompts held out for evaluation; without it a part of --prompts is'],
    ['--eval-fraction <f>', 'part of --prompts held out for evaluation (0.25)', number],
    ['--seed <n>', 'seed of everything drawn at random (0)', integer],
  ],
  sampling: [['--responses <K>', 'responses drawn per prompt (16)', integer], ...DRAWING],
  drawing: DRAWING,
  generation: [
    ['--responses <n>', 'responses to the prompt (1)', positiveInteger],
    ['--seed <n>', 'seed of everything drawn at random (0)', integer],
    ...DRAWING,
  ],
  scorers: [
    [
      '--reward <scorer>',
      'what to maximise: an ONNX folder (model.onnx, tokenizer.json), or a module (.ts, .js)',
    ],
    ['--cost <scorer>', 'a scorer of harm: safety is its negative; repeatable'],
    ['--safety <scorer>', 'a scorer of safety, higher is safer; repeatable'],
  ],
  preferences: [
    [
      '--helpful <file>',
      'PeCAN, in place of --reward: preferences by helpfulness, rows {prompt, chosen, rejected}, or with better_response_id',
    ],
    [
      '--safe <file>',
      'PeCAN, in place of --cost and --safety: preferences by safety, or rows with safer_response_id; repeatable',
    ],
    [
      '--beta-pre <b>',
      'weight of the KL divergence when policies learn these preferences (that of --beta)',
      number,
    ],
  ],
  comparison: [
    [
      '--measure <scorer>',
      'a scorer that takes no part in the run and only measures its outcome, more is better; repeatable',
    ],
    ['--measure-cost <scorer>', 'the same, where less is better; repeatable'],
    [
      '--baselines <names>',
      'policies to train for comparison, comma separated: helpful (by the reward alone), safe (by safety alone)',
      list,
    ],
  ],
  limits: [
    ['--beta <b>', 'weight of the KL divergence from the policy, in the dual and in DPO', number],
    [
      '--margin <b>',
      'mean safety must exceed that of the policy by b; one per --cost or --safety, in order',
      number,
    ],
    ['--threshold <b>', 'mean safety must be at least b; in place of a --margin', number],
  ],
  decoding: [
    [
      '--decoding <how>',
      'how the aligned policy answers: adapter: one is trained; without training, resample: one of K responses by λ*; ' +
        'mix: the pre-aligned policies of PeCAN, mixed at every token (adapter)',
    ],
  ],
  labels: [
    ['--pairs-per-prompt <n>', 'preference pairs made of the responses to a prompt (all)', integer],
    [
      '--labels <kind>',
      'soft: keep the probability of the preference; drawn: draw it once, as in the paper (soft)',
    ],
    [
      '--pecan-labels <kind>',
      'scaled: label by β_pre·(s_r + λᵀs_g); unscaled: without β_pre, as the authors’ code (scaled)',
    ],
  ],
  training: [
    ['--lora-r <r>', 'rank of the adapter (8)', integer],
    ['--lora-alpha <a>', 'scale of the adapter is alpha / r (16)', number],
    [
      '--target-modules <names>',
      'linear layers that get an adapter, comma separated, or all-linear (all-linear)',
      list,
    ],
    ['--lora-dropout <p>', 'part of a layer’s inputs that its adapter does not see in training (0)', number],
    ['--use-rslora <bool>', 'scale the adapter by alpha / √r in place of alpha / r (false)', boolean],
    [
      '--learning-rate <lr>',
      'highest learning rate of AdamW (1.5e-3, for small models; a billion parameters want 1e-4 to 5e-4)',
      number,
    ],
    ['--lr-scheduler-type <name>', `${SCHEDULERS.join(', ')} (cosine)`],
    ['--warmup-steps <n>', 'steps over which the learning rate rises, in place of --warmup-ratio', integer],
    ['--warmup-ratio <f>', 'part of the steps over which the learning rate rises (0.1)', number],
    ['--num-train-epochs <n>', 'passes over the pairs, or the prompts (3)', integer],
    ['--max-steps <n>', 'steps of the optimizer, in place of --num-train-epochs', positiveInteger],
    [
      '--per-device-train-batch-size <n>',
      'pairs, or completions, trained on at once (as many as hold about 64 responses)',
      integer,
    ],
    ['--gradient-accumulation-steps <n>', 'batches per optimizer step (1)', integer],
    [
      '--gradient-checkpointing <bool>',
      'compute each block again in the backward pass: less memory, the same bits (false)',
      boolean,
    ],
    ['--group-by-length <bool>', 'batch pairs of like length: less padding (false)', boolean],
    ['--weight-decay <w>', 'decoupled weight decay of AdamW (0)', number],
    ['--max-grad-norm <n>', 'gradients are clipped to this norm (1)', number],
    ['--save-steps <n>', 'a checkpoint every n steps (25)', integer],
  ],
  losses: [
    [
      '--loss-type <name>',
      'of pairs: sigmoid, or ipo or hinge, which take no soft labels (sigmoid); of grpo: dapo, grpo, bnpo or dr_grpo (dapo)',
    ],
    ['--label-smoothing <p>', 'probability that the label of a pair is wrong (0)', number],
  ],
  trainer: [
    [
      '--trainer <name>',
      'dpo on pairs; or grpo or rloo: policy gradients on r + λᵀg of what the policy draws as it learns (dpo)',
    ],
  ],
  alone: [
    [
      '--lambda <l>',
      'weight of a safety in the reward r + λᵀg, as dualign dual prints it; one per --cost or --safety, in order',
      number,
    ],
    ['--beta <b>', 'weight of the KL divergence from the policy (0.05)', number],
    ['--prompts <file>', 'prompts, JSON Lines with a field "prompt", or .txt with one a line'],
    ['--seed <n>', 'seed of everything drawn at random (0)', integer],
  ],
  'on-policy': [
    ['--num-generations <n>', 'grpo, rloo: completions drawn for a prompt, to be compared (8)', integer],
    ['--num-iterations <n>', 'grpo, rloo: passes over what was drawn before more is (1)', integer],
    [
      '--steps-per-generation <n>',
      'grpo, rloo: batches drawn at once (that of --gradient-accumulation-steps)',
      positiveInteger,
    ],
    ['--epsilon <e>', 'grpo, rloo: ratios of probabilities are clipped to 1 ± e (0.2)', number],
    ['--epsilon-high <e>', 'grpo, rloo: and to 1 + e above (that of --epsilon)', number],
    [
      '--mask-truncated-completions <bool>',
      'grpo, rloo: learn nothing from completions cut at --max-new-tokens (false)',
      boolean,
    ],
  ],
  grpo: [
    [
      '--scale-rewards <how>',
      'grpo: divide rewards by the deviation of a prompt’s (group), of all (batch), or not (none)',
    ],
    [
      '--use-bias-correction-kl <bool>',
      'grpo: weigh the KL divergence by the ratio, which makes its gradient unbiased (true)',
      boolean,
    ],
  ],
  rloo: [
    ['--normalize-advantages <bool>', 'rloo: to mean 0 and deviation 1 (false)', boolean],
    ['--reward-clip-range <low,high>', 'rloo: clip rewards to it, before the KL divergence', range],
  ],
};
