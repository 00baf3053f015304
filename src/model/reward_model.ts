import type { Folder, WritableFolder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import type { Engine, MemoryLimits, Tensor } from '../engine/engine.ts';
import { loadWasm } from '../wasm.ts';
import { classifierOnnx } from './classifier_onnx.ts';
import { type LlamaConfig, parseLlamaConfig } from './config.ts';
import type { Json } from './families.ts';
import { initializeWeights, initialWeight } from './initialize.ts';
import { mergeAdapter } from './lora.ts';
import { namedWeights } from './parameters.ts';
import {
  assemblePolicy,
  type LoadPolicyOptions,
  outlineModel,
  type Policy,
  type PolicyOutline,
} from './policy.ts';
import { saveModel } from './save.ts';
import { type LlamaWeights, loadWeights } from './weights.ts';

/** A model that gives texts a score (score_head.ts), as transformers' …ForSequenceClassification with one label. */
export interface RewardModel extends Policy {
  readonly weights: LlamaWeights & { readonly score: Tensor };
}

/** How a reward model is loaded. */
export interface LoadRewardOptions extends LoadPolicyOptions {
  /** Of the head's first values, where the folder holds a language model. */
  readonly seed?: number;
}

const LANGUAGE_MODEL = /ForCausalLM$/;
const CLASSIFIER = /ForSequenceClassification$/;

/** Whether config.json is of a model with a score head. */
export function isClassifier({ architectures }: Json): boolean {
  return Array.isArray(architectures) && architectures.some((name) => CLASSIFIER.test(String(name)));
}

/** The configuration of a reward model from the config.json of one, or of the language model that it starts from. */
export function parseRewardConfig(json: Json, name: string): LlamaConfig {
  const { architectures } = json;
  const known = Array.isArray(architectures)
    ? architectures.map((each) => String(each).replace(CLASSIFIER, 'ForCausalLM'))
    : architectures;
  // There are no logits: what would be their head is left out as a tied one is.
  return {
    ...parseLlamaConfig({ ...json, architectures: known }, name),
    tieWordEmbeddings: true,
    scoreHead: true,
  };
}

/** config.json of the reward model that starts from the model of `json`, as transformers writes and reads it. */
export function rewardConfigJson(json: Json, padId: number): Json {
  const architectures = Array.isArray(json.architectures)
    ? json.architectures.map((each) => String(each).replace(LANGUAGE_MODEL, 'ForSequenceClassification'))
    : json.architectures;
  return {
    ...json,
    architectures,
    id2label: { 0: 'LABEL_0' },
    label2id: { LABEL_0: 0 },
    pad_token_id: json.pad_token_id ?? padId,
  };
}

/** Loads a reward model, or a language model of which training will make one: its head then begins as the seed draws it. */
export async function loadRewardModel(
  engine: Engine,
  folder: Folder,
  options: LoadRewardOptions = {},
): Promise<RewardModel> {
  const json = await readJsonObject(folder, 'config.json');
  const config = parseRewardConfig(json, `${folder.name}/config.json`);
  const { initialSeed } = options;
  return await assemblePolicy(engine, folder, config, options, async () => {
    if (initialSeed !== undefined) {
      const { score, ...weights } = await initializeWeights(engine, folder, config, initialSeed);
      return { ...weights, score: score! };
    }
    const scoreHead = isClassifier(json);
    const weights = await loadWeights(engine, folder, { ...config, scoreHead }, options.dtype);
    const score =
      weights.score ??
      engine.upload(initialWeight('score.weight', [1, config.hiddenSize], options.seed ?? 0), [
        1,
        config.hiddenSize,
      ]);
    return { ...weights, score };
  });
}

/** Reads all of the same but its weights, of which it reads the headers. */
export async function outlineRewardModel(
  limits: MemoryLimits,
  folder: Folder,
  options: LoadRewardOptions = {},
): Promise<PolicyOutline> {
  const json = await readJsonObject(folder, 'config.json');
  const config = parseRewardConfig(json, `${folder.name}/config.json`);
  const stored = { ...config, scoreHead: isClassifier(json) };
  return { ...(await outlineModel(limits, folder, stored, options)), config };
}

const TOKENIZER_CONFIG = 'tokenizer_config.json';

/** What is written beside the weights. */
export interface SaveRewardOptions {
  /** Also writes model.onnx, for texts of at most so many tokens, which the model itself must take. */
  readonly onnxLength?: number;
}

/**
 * Writes a reward model as transformers' AutoModelForSequenceClassification reads it: config.json, model.safetensors with
 * the adapter merged into the weights, and the tokenizer of `base`, the folder that the model was loaded from.
 */
export async function saveRewardModel(
  model: RewardModel,
  base: Folder,
  out: WritableFolder,
  { onnxLength }: SaveRewardOptions = {},
): Promise<void> {
  const configOf = (json: Json) => rewardConfigJson(json, model.eosIds[0] ?? 0);
  if (onnxLength !== undefined) await writeOnnx(model, out, onnxLength);
  await saveModel(model, base, out, { configOf });
  if (onnxLength === undefined) return;
  // Scorers cut longer texts to it.
  const settings = (await out.exists(TOKENIZER_CONFIG)) ? await readJsonObject(out, TOKENIZER_CONFIG) : {};
  const limited = { ...settings, model_max_length: onnxLength };
  await out.write(TOKENIZER_CONFIG, `${JSON.stringify(limited, null, 2)}\n`);
}

async function writeOnnx(model: RewardModel, out: WritableFolder, onnxLength: number): Promise<void> {
  const { engine, adapter, config } = model;
  const merged = adapter ? mergeAdapter(model, adapter) : { weights: model.weights, free: () => {} };
  const held = new Map([...namedWeights(config, merged.weights)].map(({ key, tensor }) => [key, tensor]));
  const read = (key: string) => engine.read(held.get(key)!);
  await out.write('model.onnx', await classifierOnnx(config, read, onnxLength, await loadWasm()));
  merged.free();
}
