import { UserError } from '../errors.ts';
import { backward, forward, type TrainPass } from '../model/llama.ts';
import type { RewardModel } from '../model/reward_model.ts';
import { scoreBatch, scoresBackward, scoresForward } from '../model/score_head.ts';
import { checkTrainConfig, TRAIN_DEFAULTS, type TrainConfig } from './config.ts';
import type { StepBatch, TrainHooks } from './loop.ts';
import type { Order } from './order.ts';
import { aligned, type Window } from './recorder.ts';
import { adapterTrainable, type Trainable, weightsTrainable } from './trainable.ts';
import { orderOf, type Split, splitOf, trainEpochs } from './trainer.ts';

/** Two texts in token ids, prompt and response together, of which the first is the better. */
export interface RewardPair {
  readonly chosenIds: readonly number[];
  readonly rejectedIds: readonly number[];
  /** By how much the score of the chosen one should at least be higher (Touvron et al. 2023, eq. 2); 0 by default. */
  readonly margin?: number;
  /** Part of the raters who chose it; 1 by default. */
  readonly label?: number;
}

/** Settings in the names of TRL's RewardConfig. */
export interface RewardConfig extends TrainConfig {
  /** Weight of the squared sum of a pair's scores, which centres them at zero (Eisenstein et al. 2023); 0: none. */
  readonly center_rewards_coefficient: number;
}

export const REWARD_DEFAULTS: RewardConfig = { ...TRAIN_DEFAULTS, center_rewards_coefficient: 0 };

/** Metrics of TRL's RewardTrainer over the step's pairs. */
export interface RewardMetrics {
  /** Part of the pairs with a higher score for the chosen text. */
  readonly accuracy: number;
  /** Mean of score(chosen) − score(rejected). */
  readonly margin: number;
  readonly min_reward: number;
  readonly mean_reward: number;
  readonly max_reward: number;
}

/**
 * Writes losses `[p]` without the centring term and scores `[2p, 1]`, chosen before rejected, to `out`, and with a pass adds
 * the gradients of scale · Σ losses: −log σ(s_chosen − s_rejected − margin) + c · (s_chosen + s_rejected)², where the
 * first term is the negative log-likelihood of Bradley & Terry (1952) as Ouyang et al. 2022, eq. 1, have it; where raters
 * differ, its mean over them.
 */
export function rewardGradients(
  model: RewardModel,
  pairs: readonly RewardPair[],
  centre: number,
  scale: number,
  out: Window,
  pass: TrainPass | undefined,
): void {
  const { engine, workspace } = model;
  const p = pairs.length;
  const texts = [...pairs.map(({ chosenIds }) => chosenIds), ...pairs.map(({ rejectedIds }) => rejectedIds)];
  const batch = scoreBatch(model, texts);
  const hidden = forward(model, batch, pass ? { ...pass, keep: true } : { adapter: model.adapter });
  scoresForward(model, batch, hidden, out(aligned(p), [2 * p, 1]));

  // DPO's loss of log-probabilities is this loss of scores, with the margins in the place of the reference.
  const margins = new Float32Array(2 * p);
  pairs.forEach(({ margin = 0 }, i) => {
    margins[i] = margin;
  });
  const dscores = workspace.take('dscores', [2 * p]);
  engine.dpo(
    out(0, [p]),
    dscores,
    out(aligned(p), [2 * p]),
    workspace.put('margins', margins),
    workspace.put(
      'labels',
      Float32Array.from(pairs, ({ label = 1 }) => label),
    ),
    { loss: 'sigmoid', beta: 1, scale },
  );
  if (!pass) return;
  const slopes = workspace.take('dscores', [2 * p, 1]);
  if (centre > 0) {
    const sums = workspace.put('pairSums', pairSums(p), [2 * p, 2 * p]);
    engine.matmul(slopes, sums, out(aligned(p), [2 * p, 1]), { scale: 2 * centre * scale, accumulate: true });
  }
  backward(model, batch, pass, scoresBackward(model, batch, slopes, pass));
}

/** `[2p, 2p]`: row i sums the two scores of the pair that i is of. */
function pairSums(p: number): Float32Array {
  return Float32Array.from({ length: 4 * p * p }, (_, at) =>
    (Math.floor(at / (2 * p)) - (at % (2 * p))) % p === 0 ? 1 : 0,
  );
}

function rewardBatch(
  model: RewardModel,
  pairs: readonly RewardPair[],
  { center_rewards_coefficient: centre, per_device_train_batch_size: size }: RewardConfig,
  epoch: number,
): StepBatch<RewardMetrics> {
  const parts = Array.from({ length: Math.ceil(pairs.length / size) }, (_, i) =>
    pairs.slice(i * size, (i + 1) * size),
  );
  return {
    epoch,
    tokens: pairs.reduce((sum, { chosenIds, rejectedIds }) => sum + chosenIds.length + rejectedIds.length, 0),
    microBatches: parts.map((part) => ({
      record: (out, pass) => rewardGradients(model, part, centre, 1 / pairs.length, out, pass),
    })),
    summarize: (values) => summarize(parts, values, centre),
  };
}

function summarize(
  parts: readonly (readonly RewardPair[])[],
  values: readonly Float32Array[],
  centre: number,
): RewardMetrics & { readonly loss: number } {
  const rewards: number[] = [];
  const sums = { pairs: 0, loss: 0, right: 0, margin: 0 };
  parts.forEach((pairs, index) => {
    const p = pairs.length;
    const scores = values[index].subarray(aligned(p));
    pairs.forEach((_, i) => {
      const [chosen, rejected] = [scores[i], scores[p + i]];
      rewards.push(chosen, rejected);
      sums.loss += values[index][i] + centre * (chosen + rejected) ** 2;
      sums.right += chosen > rejected ? 1 : 0;
      sums.margin += chosen - rejected;
    });
    sums.pairs += p;
  });
  return {
    loss: sums.loss / sums.pairs,
    accuracy: sums.right / sums.pairs,
    margin: sums.margin / sums.pairs,
    min_reward: Math.min(...rewards),
    mean_reward: rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length,
    max_reward: Math.max(...rewards),
  };
}

/** Results that a micro-batch of `size` pairs leaves. */
export function rewardWidth(size: number): number {
  return aligned(size) + 2 * size;
}

/** The order in which a reward model takes pairs. */
export function rewardOrder(pairs: readonly RewardPair[], config: TrainConfig): Order {
  const groups = pairs.map((_, index) => [index]);
  return orderOf(config, groups, (index) =>
    Math.max(pairs[index].chosenIds.length, pairs[index].rejectedIds.length),
  );
}

/** The adapter with the score head, or without an adapter every weight. */
export function rewardTrainable(model: RewardModel): Trainable {
  const { engine, adapter, weights } = model;
  if (!adapter) return weightsTrainable(model);
  const { groups, pass, settings } = adapterTrainable(adapter);
  const scoreGradient = engine.tensor(weights.score.shape);
  const head = { name: 'score.weight', parameters: weights.score, gradients: scoreGradient, decay: true };
  return {
    groups: [...groups, head],
    pass: { ...pass, scoreGradient },
    settings,
    free: () => engine.free(scoreGradient),
  };
}

/** Trains a reward model, or what is `given` of it, on pairs of texts by the Bradley–Terry model of preferences. */
export async function trainReward(
  model: RewardModel,
  pairs: readonly RewardPair[] | Split<RewardPair>,
  options: Partial<RewardConfig> = {},
  hooks: TrainHooks<RewardMetrics> = {},
  given?: Trainable,
): Promise<void> {
  const config = { ...REWARD_DEFAULTS, ...options };
  const { train, evaluation } = splitOf(pairs);
  checkTrainConfig(config);
  const { center_rewards_coefficient: centre, per_device_train_batch_size: size } = config;
  if (!(centre >= 0 && centre < Infinity)) {
    throw new UserError(`training: expected center_rewards_coefficient of at least 0, got ${centre}`);
  }
  if (train.length === 0) throw new UserError('training: expected at least one preference pair, got none');
  for (const [index, pair] of [...train, ...evaluation].entries()) checkPair(model, pair, index);
  const trainable = given ?? rewardTrainable(model);
  try {
    await trainEpochs<RewardPair, RewardMetrics>(
      {
        policy: model,
        trainable,
        config,
        count: train.length,
        order: rewardOrder(train, config),
        width: rewardWidth(size),
        settings: { pairs: train.length, head: 'score' },
        batch: (indices, epoch) =>
          rewardBatch(
            model,
            indices.map((index) => train[index]),
            config,
            epoch,
          ),
        held: evaluation,
        evaluation: () => rewardBatch(model, evaluation, config, 0),
      },
      hooks,
    );
  } finally {
    if (!given) trainable.free();
  }
}

function checkPair({ maxLength, config }: RewardModel, pair: RewardPair, index: number): void {
  for (const ids of [pair.chosenIds, pair.rejectedIds]) {
    if (ids.length === 0 || ids.length > maxLength) {
      throw new UserError(
        `training: pair ${index}: expected texts of 1 to ${maxLength} tokens, got ${ids.length}`,
      );
    }
    const strange = ids.find((id) => !(id >= 0 && id < config.vocabSize));
    if (strange !== undefined) {
      throw new UserError(
        `training: pair ${index}: expected token ids below ${config.vocabSize}, got ${strange}`,
      );
    }
  }
  const { label = 1 } = pair;
  if (!(label >= 0 && label <= 1)) {
    throw new UserError(`training: pair ${index}: expected a label from 0 to 1, got ${label}`);
  }
  if (!Number.isFinite(pair.margin ?? 0)) {
    throw new UserError(`training: pair ${index}: expected a finite margin, got ${pair.margin}`);
  }
}
