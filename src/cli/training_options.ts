/** Options of training, in the names of TRL's and transformers' settings. */
import { SCHEDULERS } from '../train/schedule.ts';
import {
  boolean,
  integer,
  kwargs,
  number,
  type OptionRow,
  positiveInteger,
  range,
  targets,
} from './option_values.ts';

export type TrainingGroup =
  | 'training'
  | 'losses'
  | 'trainer'
  | 'on-policy'
  | 'grpo'
  | 'rloo'
  | 'examples'
  | 'pairs'
  | 'kl'
  | 'full'
  | 'from-scratch'
  | 'held-out'
  | 'reward-model';

export const TRAINING_OPTIONS: Record<TrainingGroup, readonly OptionRow[]> = {
  training: [
    ['--lora-r <r>', 'rank of the adapter (8)', integer],
    ['--lora-alpha <a>', 'scale of the adapter is alpha / r (16)', number],
    [
      '--target-modules <names>',
      'linear layers that get an adapter, comma separated, a regular expression of their paths, or all-linear (all-linear)',
      targets,
    ],
    ['--lora-dropout <p>', 'part of a layer’s inputs that its adapter does not see in training (0)', number],
    ['--use-rslora <bool>', 'scale the adapter by alpha / √r in place of alpha / r (false)', boolean],
    [
      '--learning-rate <lr>',
      'highest learning rate of AdamW (1.5e-3, for small models; a billion parameters want 1e-4 to 5e-4)',
      number,
    ],
    ['--lr-scheduler-type <name>', `${SCHEDULERS.join(', ')} (cosine)`],
    [
      '--lr-scheduler-kwargs <json>',
      'settings of single schedules, such as {"num_decay_steps": 100} of warmup_stable_decay',
      kwargs,
    ],
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
    ['--adam-beta1 <b>', 'decay of AdamW’s first moment (0.9)', number],
    ['--adam-beta2 <b>', 'decay of its second moment (0.999)', number],
    ['--adam-epsilon <e>', 'what its denominator is kept above (1e-8)', number],
    ['--weight-decay <w>', 'decoupled weight decay of AdamW (0)', number],
    ['--max-grad-norm <n>', 'gradients are clipped to this norm; 0: not (1)', number],
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
  examples: [
    [
      '--dataset <file>',
      'examples, JSON Lines {"text"}, {"messages"} or {"prompt", "completion"}, or .txt with a text a line; .gz too',
    ],
    ['--max-length <n>', 'longest example in tokens; longer ones are cut (what the model takes)', integer],
    ['--seed <n>', 'seed of everything drawn at random (0)', integer],
  ],
  pairs: [
    [
      '--preferences <file>',
      'rows {prompt, chosen, rejected} or of another form that --helpful takes; .gz too',
    ],
    ['--judgement <which>', 'of rows with two judgements, the one to learn: helpful or safe (helpful)'],
    ['--max-length <n>', 'longest text in tokens; longer ones are left out (what the model takes)', integer],
    ['--seed <n>', 'seed of everything drawn at random (0)', integer],
  ],
  kl: [['--beta <b>', 'weight of the KL divergence from the policy (0.1)', number]],
  full: [['--full [bool]', 'train all weights, in place of LoRA factors (false)', boolean]],
  'from-scratch': [
    [
      '--from-scratch [bool]',
      'draw the weights from the seed first: of the policy, config.json and tokenizer are enough (false)',
      boolean,
    ],
  ],
  'held-out': [
    ['--eval-fraction <f>', 'part of the rows held out, to be evaluated on (none; of reward 0.1)', number],
    ['--eval-steps <n>', 'evaluate every n steps (after every epoch)', integer],
    [
      '--early-stopping-patience <n>',
      'stop after n evaluations without a lower loss, and go back to the best (never)',
      integer,
    ],
  ],
  'reward-model': [
    [
      '--center-rewards-coefficient <c>',
      'weight of (score of chosen + score of rejected)², which centres the scores (0.01)',
      number,
    ],
    ['--onnx <tokens>', 'also write model.onnx, for texts of at most so many tokens', positiveInteger],
  ],
};
