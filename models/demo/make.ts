/**
 * Remakes everything in this folder that is not source, with the project's own CPU engine:
 *
 *     node models/demo/make.ts            (or deno run -A models/demo/make.ts)
 *
 * policy/ is a language model trained from scratch on the grammar's answers; reward/ and cost/ are score heads on smaller
 * models, trained on preferences by help and by safety, as ONNX; prompts.jsonl, helpful.jsonl and safe.jsonl are what the
 * demo runs on. The same files come out on any machine, bit for bit. `--out folder` writes elsewhere; `--steps 0.01` trains
 * so much less, and `--only policy` remakes one of reward, cost, policy, data: each depends on nothing but its own seed.
 */
import { parseArgs } from 'node:util';
import { subfolder } from '../../src/data/folder.ts';
import { toJsonl } from '../../src/data/jsonl.ts';
import { type TensorData, writeSafetensors } from '../../src/data/safetensors.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { openEngine } from '../../src/host/device.ts';
import { DiskFolder } from '../../src/host/disk.ts';
import { type LlamaConfig, parseLlamaConfig } from '../../src/model/config.ts';
import { initialWeights } from '../../src/model/initialize.ts';
import { namedWeights } from '../../src/model/parameters.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { loadRewardModel, parseRewardConfig, saveRewardModel } from '../../src/model/reward_model.ts';
import { weightShapes } from '../../src/model/weights.ts';
import { keyOf, Random } from '../../src/random.ts';
import { trainReward } from '../../src/train/reward.ts';
import { weightsTrainable } from '../../src/train/trainable.ts';
import { trainSft } from '../../src/train/trainer.ts';
import { loadWasm } from '../../src/wasm.ts';
import { answers, preferences, type RatedPair, ratedPairs } from './corpus.ts';
import { QUESTIONS } from './grammar.ts';
import { tokenizerJson } from './tokenizer.ts';

/** Seeds of what has to differ. */
const SEED = { policy: 1, reward: 2, cost: 3, preferences: 4, weights: 7, corpus: 11 };
const BATCH = 32;
const STEPS = { policy: 1500, scorer: 1000 };
const LONGEST = 128;
/** Of each kind. */
const PREFERENCES = 800;
const EOS = 2;

type Folder = ReturnType<typeof subfolder>;

const { json: tokenizer, vocabSize } = tokenizerJson();
const COMMON = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: vocabSize,
  max_position_embeddings: LONGEST,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: EOS,
};
const POLICY = {
  ...COMMON,
  hidden_size: 128,
  intermediate_size: 448,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};
const SCORER = {
  ...COMMON,
  architectures: ['LlamaForSequenceClassification'],
  hidden_size: 64,
  intermediate_size: 176,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};

/** A Hugging Face folder of a model that is yet to learn. */
async function writeUntrained(
  folder: Folder,
  json: typeof COMMON,
  weights: ReadonlyMap<string, TensorData>,
): Promise<void> {
  await folder.write('config.json', `${JSON.stringify(json, null, 2)}\n`);
  await folder.write('tokenizer.json', JSON.stringify(tokenizer));
  await folder.write('tokenizer_config.json', `${JSON.stringify({ bos_token: '<s>', eos_token: '</s>' })}\n`);
  await folder.write('model.safetensors', writeSafetensors(weights, { format: 'pt' }));
}

/** Matrices of centred sums of four uniforms, a stream each, of a deviation a little over transformers'; norms of one. */
function policyWeights(config: LlamaConfig): Map<string, TensorData> {
  const key = keyOf(SEED.weights, 'init');
  const shapes = [...weightShapes(config)];
  return new Map(
    shapes.map(([name, shape], stream) => {
      const random = new Random(key, stream);
      const sum = () => random.uniform() + random.uniform() + random.uniform() + random.uniform();
      const length = shape.reduce((product, size) => product * size, 1);
      const data = Float32Array.from({ length }, () => (shape.length === 1 ? 1 : 0.04 * (sum() - 2)));
      return [name, { shape, data }];
    }),
  );
}

function telling(what: string) {
  const started = performance.now();
  return {
    onMetrics: (row: { step: number; loss: number; accuracy?: number }, total: number) => {
      if (row.step % 25 > 0 && row.step < total) return;
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      const accuracy = row.accuracy === undefined ? '' : `, accuracy ${row.accuracy.toFixed(3)}`;
      console.error(
        `${what}: step ${row.step} of ${total}, loss ${row.loss.toFixed(4)}${accuracy}, ${seconds} s`,
      );
    },
  };
}

async function makePolicy(engine: Engine, folder: Folder, steps: number): Promise<void> {
  await writeUntrained(folder, POLICY, policyWeights(parseLlamaConfig(POLICY, folder.name)));
  const policy = await loadPolicy(engine, folder);
  const examples = answers(steps * BATCH, SEED.corpus).map(({ prompt, response }) => {
    const promptIds = policy.tokenizer.encode(prompt);
    const all = policy.tokenizer.encode(prompt + response);
    return { promptIds, completionIds: [...all.slice(promptIds.length), EOS] };
  });
  await trainSft(
    policy,
    examples,
    {
      learning_rate: 2e-3,
      warmup_ratio: 0.05,
      weight_decay: 0.01,
      adam_beta2: 0.99,
      num_train_epochs: 1,
      per_device_train_batch_size: BATCH,
      seed: SEED.policy,
    },
    telling('policy'),
    weightsTrainable(policy),
  );
  const trained = [];
  for (const { key, tensor } of namedWeights(policy.config, policy.weights)) {
    trained.push([key, { shape: tensor.shape, data: await engine.read(tensor) }] as const);
  }
  await folder.write('model.safetensors', writeSafetensors(trained, { format: 'pt' }));
}

/** A scorer of what `share` of the raters say of response 1 beside response 0. */
async function makeScorer(
  engine: Engine,
  folder: Folder,
  what: 'reward' | 'cost',
  steps: number,
  share: (pair: RatedPair) => number,
): Promise<void> {
  await writeUntrained(folder, SCORER, initialWeights(parseRewardConfig(SCORER, folder.name), SEED[what]));
  const model = await loadRewardModel(engine, folder);
  const { exp } = await loadWasm();
  const pairs = ratedPairs(steps * BATCH, SEED[what], exp).map((pair) => {
    const encode = (response: string) => model.tokenizer.encode(pair.prompt + response);
    return { chosenIds: encode(pair.response_1), rejectedIds: encode(pair.response_0), label: share(pair) };
  });
  await trainReward(
    model,
    pairs,
    {
      learning_rate: 2e-3,
      warmup_ratio: 0.05,
      weight_decay: 0.01,
      adam_beta2: 0.99,
      num_train_epochs: 1,
      per_device_train_batch_size: BATCH,
      center_rewards_coefficient: 0.01,
      seed: SEED[what],
    },
    telling(what),
  );
  await saveRewardModel(model, folder, folder, { onnxLength: LONGEST });
}

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: import.meta.dirname },
    steps: { type: 'string', default: '1' },
    only: { type: 'string', default: 'reward,cost,policy,data' },
  },
});
const stepsOf = (whole: number) => Math.max(1, Math.round(whole * Number(values.steps)));
const out = new DiskFolder(values.out);
const engine = await openEngine('cpu');
const better = (pair: RatedPair) => pair.better;
const safer = (pair: RatedPair) => pair.safer;
const parts: Record<string, () => Promise<void>> = {
  reward: () => makeScorer(engine, subfolder(out, 'reward'), 'reward', stepsOf(STEPS.scorer), better),
  cost: () =>
    makeScorer(engine, subfolder(out, 'cost'), 'cost', stepsOf(STEPS.scorer), (pair) => 1 - safer(pair)),
  policy: () => makePolicy(engine, subfolder(out, 'policy'), stepsOf(STEPS.policy)),
  data: () => writeData(out),
};
for (const part of values.only.split(',')) await parts[part]();
engine.destroy();

async function writeData(folder: DiskFolder): Promise<void> {
  const { exp } = await loadWasm();
  const pairs = ratedPairs(4 * PREFERENCES, SEED.preferences, exp);
  const file = (share: (pair: RatedPair) => number) =>
    toJsonl(preferences(pairs, share, PREFERENCES, SEED.preferences));
  await folder.write('prompts.jsonl', toJsonl(QUESTIONS.map(({ prompt }) => ({ prompt }))));
  await folder.write('helpful.jsonl', file(better));
  await folder.write('safe.jsonl', file(safer));
}
