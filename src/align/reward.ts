import type { Folder } from '../data/folder.ts';
import { sha256 } from '../data/hash.ts';
import type { Preference } from '../data/preferences.ts';
import { UserError } from '../errors.ts';
import type { LlamaConfig } from '../model/config.ts';
import { checkLora } from '../model/lora.ts';
import { addAdapter } from '../model/policy.ts';
import { type RewardModel, saveRewardModel } from '../model/reward_model.ts';
import { savedFiles } from '../model/save.ts';
import { once } from '../once.ts';
import { loadTextEncoder, readOptional } from '../score/encode.ts';
import { REWARD } from '../train/fit.ts';
import { type RewardMetrics, type RewardPair, rewardTrainable, trainReward } from '../train/reward.ts';
import { need, needFor } from './config.ts';
import type { ModelContext } from './context.ts';
import { runEpochs } from './epochs.ts';
import { checkWhole, type Product, wholeSettings } from './products.ts';
import { splitRows } from './split.ts';
import { evaluationSettings, loraSettings, trainSettings } from './train_settings.ts';
import { summarizeTraining, type TrainingSummary } from './training_summary.ts';

/** Pairs in a batch, unless the user set their number. */
const PAIRS_PER_BATCH = 16;
const DEFAULT_EVAL_FRACTION = 0.1;

/** `dualign reward`: a reward model from preferences. The run folder becomes that of the model, with metrics.jsonl. */
export async function rewardAlone(context: ModelContext): Promise<TrainingSummary> {
  const { run, config, sources, progress } = context;
  const { policy: path, preferences } = needFor('reward', config, 'policy', 'preferences');
  const { eval_fraction = DEFAULT_EVAL_FRACTION, seed, judgement, onnx } = config;
  const { center_rewards_coefficient } = config;
  checkWhole(config, 'reward', true);
  if ((await run.folder.exists('config.json')) && run.manifest.stages.reward === undefined) {
    throw new UserError(
      `${run.folder.name}: expected a folder without a model, found config.json; give another --out`,
    );
  }
  const source = sources.rewardModel(path);
  const outline = await sources.outlineReward(path);
  if (onnx !== undefined && onnx > outline.maxLength) {
    throw new UserError(`--onnx: expected at most ${outline.maxLength}, the model's own limit, got ${onnx}`);
  }
  const all = await sources.preferences(preferences, judgement);
  const rows = splitRows(all, ({ prompt }) => prompt, eval_fraction, seed, preferences);
  const longest = Math.min(outline.maxLength, config.max_length ?? Infinity);
  const encode = async (part: readonly Preference[]) => {
    const { pairs, left } = await encodePairs(await sources.folder(path), part, longest);
    if (left > 0) progress.say(`left out ${left} pairs longer than ${longest} tokens`);
    return pairs;
  };
  await runEpochs<RewardPair, RewardMetrics, RewardModel>(context, {
    name: 'reward',
    file: (name) => name,
    product: rewardProduct(context, outline),
    inputs: {
      policy: await source.hash(),
      device: await sources.engine(),
      pairs: await sha256(JSON.stringify(rows)),
      ...(config.max_length === undefined ? {} : { max_length: config.max_length }),
    },
    settings: {
      ...trainSettings(config),
      ...(rows.evaluation.length > 0 ? evaluationSettings(config) : {}),
      per_device_train_batch_size: config.per_device_train_batch_size ?? PAIRS_PER_BATCH,
    },
    note: `${rows.train.length} pairs, ${rows.evaluation.length} held out`,
    kind: REWARD,
    outline,
    examples: once(async () => ({
      train: await encode(rows.train),
      evaluation: await encode(rows.evaluation),
    })),
    train: (model, pairs, fitted, hooks, trainable) =>
      trainReward(model, pairs, { ...fitted, center_rewards_coefficient }, hooks, trainable),
    told: ({ loss, accuracy }) => `loss ${loss.toFixed(4)}, accuracy ${accuracy.toFixed(2)}`,
  });
  return await summarizeTraining(context, 'reward');
}

/** The whole model, a LoRA adapter merged into its weights, in the run folder itself. */
function rewardProduct(
  { run, config, sources }: ModelContext,
  { config: model }: { readonly config: LlamaConfig },
): Product<RewardModel> {
  const { policy: path } = need(config, 'policy');
  const { seed, onnx, center_rewards_coefficient } = config;
  const lora = loraSettings(config);
  if (lora) checkLora(model, lora);
  const source = sources.rewardModel(path);
  return {
    lora,
    settings: { ...(lora ?? wholeSettings(config)), center_rewards_coefficient, ...(onnx ? { onnx } : {}) },
    outputs: [...savedFiles(model), ...(onnx ? ['model.onnx'] : [])],
    load: async () => {
      const model = await source.load();
      if (lora) addAdapter(model, lora, seed);
      return model;
    },
    trainable: rewardTrainable,
    save: async (policy) => {
      await saveRewardModel(policy, await sources.folder(path), run.folder, { onnxLength: onnx });
    },
    release: () => source.unload(),
  };
}

/** Prompt and response as the model will read them when it scores. */
async function encodePairs(base: Folder, rows: readonly Preference[], longest: number) {
  const text = await loadTextEncoder(base, await readOptional(base, 'config.json'));
  const pairs: RewardPair[] = [];
  let left = 0;
  for (const { prompt, chosen, rejected, label, margin } of rows) {
    const [better, worse] = [chosen, rejected].map((response) => text.encode({ prompt, response }));
    if ([better, worse].some(({ ids, truncated }) => truncated || ids.length > longest)) left++;
    else pairs.push({ chosenIds: better.ids, rejectedIds: worse.ids, label, margin });
  }
  return { pairs, left };
}
