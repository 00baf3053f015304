import * as v from 'valibot';
import type { DpoLoss } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import { DTYPE_CHOICES } from '../model/dtype.ts';
import { SCALE_REWARDS } from '../train/advantages.ts';
import { GRPO_LOSSES, type GrpoLoss } from '../train/on_policy_config.ts';
import { checkSchedule, SCHEDULERS, type SchedulerKwargs } from '../train/schedule.ts';

const DPO_LOSS_TYPES = ['sigmoid', 'ipo', 'hinge'] as const satisfies readonly DpoLoss[];

/**
 * The settings of a run, stored as config.json in its folder. Names of training settings are TRL's (DPOConfig,
 * LoraConfig), so that a run reads the same there.
 */
const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const nonNegativeInteger = v.pipe(v.number(), v.integer(), v.minValue(0));
const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
const nonNegative = v.pipe(v.number(), v.finite(), v.minValue(0));
const belowOne = v.pipe(v.number(), v.minValue(0), v.ltValue(1));
const fraction = v.pipe(v.number(), v.minValue(0), v.maxValue(1));

/** Names of baselines. */
export const BASELINE = /^(helpful|safe|primal-dual|weight=\d+(\.\d+)?)$/;

const constraintSchema = v.strictObject({
  /** Folder of an ONNX scorer, or a module with a default export. */
  scorer: v.string(),
  /** True when the scorer measures cost: safety is its negative. */
  cost: v.boolean(),
});

/** `threshold`: E[safety] ≥ value. `margin`: E[safety] ≥ value + E_ref[safety]. */
const limitSchema = v.strictObject({
  kind: v.picklist(['margin', 'threshold']),
  value: v.pipe(v.number(), v.finite()),
});

/**
 * The settings of a run, with their defaults: what the command's options, and config in manifest.json, are checked
 * by.
 */
export const configSchema = v.strictObject({
  /** `mocan` scores with models; `pecan` learns the scores from preferences, which `reward` and `constraints` then name. */
  method: v.optional(v.picklist(['mocan', 'pecan']), 'mocan'),
  policy: v.optional(v.string()),
  prompts: v.optional(v.string()),
  /** Held-out prompts; without it, `eval_fraction` of `prompts` is held out, a quarter if left out. */
  eval_prompts: v.optional(v.string()),
  eval_fraction: v.optional(belowOne),
  reward: v.optional(v.string()),
  constraints: v.optional(v.array(constraintSchema), []),
  /** Scorers that take no part in the run and only measure its outcome; `cost` where less is better. */
  measures: v.optional(v.array(constraintSchema), []),
  /**
   * Policies to train beside the aligned one, for comparison: `helpful` by reward alone, `safe` by safety alone,
   * `weight=w` by r + w·Σg, `primal-dual` by an iterative primal-dual method.
   */
  baselines: v.optional(v.array(v.pipe(v.string(), v.regex(BASELINE))), []),
  /** Of primal-dual: η of λ ← [λ − η·(E[g] − threshold)]₊; β over the mean variance of g if left out. */
  dual_learning_rate: v.optional(positive),
  /** Of primal-dual: most policy updates. */
  primal_dual_iterations: v.optional(count, 12),
  /** One per constraint, in the same order. */
  limits: v.optional(v.array(limitSchema), []),
  /** KL weight β, of the dual and of DPO. */
  beta: v.optional(positive),
  /** β of PeCAN's pre-alignments; that of the dual if left out. */
  beta_pre: v.optional(positive),
  seed: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 0),
  /** Where policies run; `auto` is a GPU if there is one, else the CPU. */
  device: v.optional(v.picklist(['auto', 'webgpu', 'cpu']), 'auto'),
  /** What the policy's weights are held as; `auto`: float32 where that fits, else the 16 bits of its files. */
  dtype: v.optional(v.picklist(DTYPE_CHOICES), 'auto'),

  /** `auto`: messages through the policy's chat template; `always`: plain prompts too; else a template's file. */
  chat_template: v.optional(v.string(), 'auto'),
  /** Settings of the template's own, by TRL's name: {"enable_thinking": false} of Qwen3's. */
  chat_template_kwargs: v.optional(v.record(v.string(), v.unknown())),

  /** K, responses drawn per prompt. */
  responses: v.optional(v.pipe(v.number(), v.integer(), v.minValue(2)), 16),
  max_new_tokens: v.optional(count, 64),
  temperature: v.optional(positive, 1),
  top_k: v.optional(nonNegativeInteger, 0),
  top_p: v.optional(v.pipe(v.number(), v.gtValue(0), v.maxValue(1)), 1),
  /** As transformers defines it, over prompt and response. */
  repetition_penalty: v.optional(positive, 1),
  /** Strings that end a response, which is kept up to the first of them. */
  stop: v.optional(v.array(v.pipe(v.string(), v.minLength(1))), []),
  generation_batch_size: v.optional(count, 128),

  /**
   * How the aligned policy answers. `adapter`: it is trained, by an adapter or whole. Without training, `resample`: one of K responses of the
   * reference, in proportion to exp((r + λᵀg)/β); `mix`, of PeCAN: the pre-aligned policies' logits, mixed at every token.
   */
  decoding: v.optional(v.picklist(['adapter', 'resample', 'mix']), 'adapter'),

  /** How the policy is trained: by DPO on pairs, or by policy gradients on r + λᵀg of what it draws itself. */
  trainer: v.optional(v.picklist(['dpo', 'grpo', 'rloo']), 'dpo'),

  /** Times to train, each time after the first with λ again from what the policy has come to answer. */
  rounds: v.optional(count, 1),
  /** Passes over the pairs of each later round; num_train_epochs if left out. */
  round_epochs: v.optional(count),

  /** Pairs made of each prompt's responses; all by default. */
  pairs_per_prompt: v.optional(count),
  /** `drawn`: one Bradley–Terry draw a pair, as in the paper; `soft`: its probability is kept as the label. */
  labels: v.optional(v.picklist(['drawn', 'soft']), 'soft'),

  /** PeCAN's labels: by β_pre·(s_r + λᵀs_g), or without the factor, as in the authors' code. */
  pecan_labels: v.optional(v.picklist(['scaled', 'unscaled']), 'scaled'),

  lora_r: v.optional(count, 8),
  lora_alpha: v.optional(positive, 16),
  /** Names of linear layers; or, as a string, a regular expression that their paths match. */
  lora_target_modules: v.optional(
    v.union([v.pipe(v.string(), v.minLength(1)), v.pipe(v.array(v.string()), v.minLength(1))]),
    ['all-linear'],
  ),
  lora_dropout: v.optional(belowOne, 0),
  use_rslora: v.optional(v.boolean(), false),
  /** Of preference pairs (sigmoid by default; ipo and hinge take no soft labels), or of GRPO (dapo by default). */
  loss_type: v.optional(v.picklist([...DPO_LOSS_TYPES, ...GRPO_LOSSES])),
  label_smoothing: v.optional(v.pipe(v.number(), v.minValue(0), v.ltValue(0.5)), 0),
  learning_rate: v.optional(positive, 1.5e-3),
  lr_scheduler_type: v.optional(v.picklist(SCHEDULERS), 'cosine'),
  lr_scheduler_kwargs: v.optional(v.custom<SchedulerKwargs>((value) => value?.constructor === Object)),
  /** In place of warmup_ratio, where it is above 0. */
  warmup_steps: v.optional(nonNegativeInteger, 0),
  warmup_ratio: v.optional(fraction, 0.1),
  num_train_epochs: v.optional(count, 3),
  /** In place of num_train_epochs. */
  max_steps: v.optional(count),
  /** In pairs, by default as many as hold about 64 different responses; for policy gradients in completions. */
  per_device_train_batch_size: v.optional(count),
  gradient_accumulation_steps: v.optional(count, 1),
  gradient_checkpointing: v.optional(v.boolean(), false),
  group_by_length: v.optional(v.boolean(), false),
  adam_beta1: v.optional(belowOne, 0.9),
  adam_beta2: v.optional(belowOne, 0.999),
  adam_epsilon: v.optional(positive, 1e-8),
  weight_decay: v.optional(nonNegative, 0),
  max_grad_norm: v.optional(nonNegative, 1),
  save_steps: v.optional(count, 25),

  /** Train all weights in place of an adapter. */
  full: v.optional(v.boolean(), false),

  /** Of trainings on their own. Files of examples, and of preferences with which of their judgements to learn. */
  dataset: v.optional(v.string()),
  preferences: v.optional(v.string()),
  judgement: v.optional(v.picklist(['helpful', 'safe']), 'helpful'),
  /** Draw all weights from the seed first. */
  from_scratch: v.optional(v.boolean(), false),
  /** Longest sequence in tokens; what the model takes if left out. */
  max_length: v.optional(v.pipe(v.number(), v.integer(), v.minValue(2))),
  /** Evaluate on what is held out every so many steps, 0: after each epoch; stop after so many without a lower loss. */
  eval_steps: v.optional(nonNegativeInteger, 0),
  early_stopping_patience: v.optional(nonNegativeInteger, 0),
  /** Of reward models: weight of the squared sum of a pair's scores, and the longest text of model.onnx. */
  center_rewards_coefficient: v.optional(nonNegative, 0.01),
  onnx: v.optional(count),

  /** λ of rewards r + λᵀg, one per constraint, where no dual is solved for it. */
  lambda: v.optional(v.array(nonNegative)),
  /** Completions that policy gradients draw for a prompt, passes over them, and micro-batches drawn at once. */
  num_generations: v.optional(v.pipe(v.number(), v.integer(), v.minValue(2)), 8),
  num_iterations: v.optional(count, 1),
  steps_per_generation: v.optional(count),
  /** Ratios are clipped to 1 − epsilon … 1 + epsilon_high, which is epsilon if left out. */
  epsilon: v.optional(v.pipe(v.number(), v.gtValue(0), v.ltValue(1)), 0.2),
  epsilon_high: v.optional(positive),
  mask_truncated_completions: v.optional(v.boolean(), false),
  scale_rewards: v.optional(v.picklist(SCALE_REWARDS), 'none'),
  use_bias_correction_kl: v.optional(v.boolean(), true),
  normalize_advantages: v.optional(v.boolean(), false),
  reward_clip_range: v.optional(v.tuple([v.number(), v.number()])),
});

/** Settings of a run, complete with defaults; `parseConfig` makes them. */
export type RunConfig = v.InferOutput<typeof configSchema>;
/** Settings of a run as a caller gives them: what is left out takes its default. */
export type RunOptions = Partial<v.InferInput<typeof configSchema>>;
/** A scorer of cost or safety, and the limit on its mean. */
export type ConstraintConfig = v.InferOutput<typeof constraintSchema>;
/** A lower bound on mean safety: at least `threshold`, or `margin` above the reference's mean. */
export type Limit = v.InferOutput<typeof limitSchema>;

/** Settings without a default, that a stage may need. */
type Needed = 'policy' | 'prompts' | 'reward' | 'beta' | 'dataset' | 'preferences';

/** `config` with these settings present; otherwise an error that says which to give. */
export function need<K extends Needed>(config: RunConfig, ...names: K[]) {
  return needFor('align', config, ...names);
}

/** The same, for a command other than `align`. */
export function needFor<K extends Needed>(
  command: string,
  config: RunConfig,
  ...names: K[]
): RunConfig & Required<Pick<RunConfig, K>> {
  const missing = names.filter((name) => config[name] === undefined).map(optionOf);
  if (missing.length > 0) {
    throw new UserError(`${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} missing`, 2, [
      `see dualign ${command} --help`,
    ]);
  }
  return config as RunConfig & Required<Pick<RunConfig, K>>;
}

/** Everything a whole run needs, checked before any of it starts. */
export function checkConfig(
  config: RunConfig,
): RunConfig & Required<Pick<RunConfig, 'policy' | 'prompts' | 'reward' | 'beta'>> {
  const checked = need(config, 'policy', 'prompts', 'reward', 'beta');
  checkSchedule(config);
  if (config.trainer === 'grpo') grpoLoss(config);
  if (
    config.trainer === 'dpo' &&
    dpoLoss(config) !== 'sigmoid' &&
    (config.labels === 'soft' || config.label_smoothing > 0)
  ) {
    throw new UserError(
      `--loss-type ${config.loss_type} takes neither soft labels nor --label-smoothing, got --labels ` +
        `${config.labels} and --label-smoothing ${config.label_smoothing}; say --labels drawn, or use sigmoid`,
    );
  }
  checkDecoding(config);
  if (config.full && config.decoding !== 'adapter') {
    throw new UserError(
      `--full trains all weights, which --decoding ${config.decoding} does not; leave one of them out`,
    );
  }
  if (config.rounds > 1 && (config.trainer !== 'dpo' || config.decoding !== 'adapter')) {
    const other = config.trainer === 'dpo' ? `--decoding ${config.decoding}` : `--trainer ${config.trainer}`;
    throw new UserError(
      `--rounds ${config.rounds} trains on pairs again and again, got ${other}; leave one of them out`,
    );
  }
  if (config.baselines.length > 0 && config.decoding !== 'adapter') {
    throw new UserError(
      `--baselines trains policies to compare with, which --decoding ${config.decoding} does not; leave one of them out`,
    );
  }
  limitsOf(config);
  return checked;
}

export function checkDecoding({ decoding, method }: RunConfig): void {
  if (decoding === 'mix' && method !== 'pecan') {
    throw new UserError(
      '--decoding mix needs the pre-aligned policies of PeCAN, got a run with scorers; ' +
        'give --helpful and --safe, or say --decoding resample',
    );
  }
}

/** The loss of preference pairs. */
export function dpoLoss({ loss_type = 'sigmoid' }: RunConfig): DpoLoss {
  return ofTrainer('dpo', DPO_LOSS_TYPES, loss_type);
}

export function grpoLoss({ loss_type = 'dapo' }: RunConfig): GrpoLoss {
  return ofTrainer('grpo', GRPO_LOSSES, loss_type);
}

function ofTrainer<T extends string>(trainer: string, losses: readonly T[], loss: string): T {
  const found = losses.find((name) => name === loss);
  if (found !== undefined) return found;
  throw new UserError(`--loss-type: expected one of ${losses.join(', ')} for ${trainer}, got ${loss}`);
}

/** The limits, checked to be one per constraint. */
export function limitsOf(config: RunConfig): readonly Limit[] {
  const { constraints, limits } = config;
  if (constraints.length === 0) {
    throw new UserError('expected at least one --cost, --safety or --safe, got none', 2, [
      'see dualign align --help',
    ]);
  }
  if (limits.length !== constraints.length) {
    throw new UserError(
      `expected one --margin or --threshold for each --cost, --safety and --safe, in the same order: ` +
        `got ${limits.length} for ${constraints.length}`,
    );
  }
  return limits;
}

/** How the command line calls a setting, for messages. */
function optionOf(path: string): string {
  const names: Record<string, string> = {
    reward: '--reward (or --helpful)',
    constraints: '--cost or --safety',
    limits: '--margin or --threshold',
    lora_target_modules: '--target-modules',
  };
  return names[path] ?? `--${path.replaceAll('_', '-')}`;
}

/** Checks and completes a run's settings; `source` is how messages call them. */
export function parseConfig(options: unknown, source: string): RunConfig {
  const result = v.safeParse(configSchema, options);
  if (result.success) return result.output;
  const lines = result.issues.map((issue) => {
    const path = String(issue.path?.[0]?.key ?? '');
    if (issue.type === 'strict_object' && issue.expected === 'never') return `unknown setting "${path}"`;
    if (issue.received === 'undefined') return `${optionOf(path)} is missing`;
    return `${optionOf(path)}: expected ${issue.expected ?? 'a valid value'}, got ${issue.received}`;
  });
  throw new UserError(`${source}: ${[...new Set(lines)].join('; ')}`);
}
