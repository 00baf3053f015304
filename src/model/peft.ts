import type { Folder, WritableFolder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import { parseSafetensors, writeSafetensors } from '../data/safetensors.ts';
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import type { LlamaConfig } from './config.ts';
import { Adapter, type LoraConfig } from './lora.ts';

/** Settings of PEFT's LoraConfig that leave the computation as it is, or are read below. */
const HARMLESS = new Set([
  'auto_mapping',
  'base_model_name_or_path',
  'ensure_weight_tying',
  'eva_config',
  'inference_mode',
  'layers_pattern',
  'loftq_config',
  'lora_alpha',
  'lora_dropout',
  'lora_ga_config',
  'megatron_core',
  'peft_type',
  'peft_version',
  'qalora_group_size',
  'r',
  'revision',
  'runtime_config',
  'target_modules',
  'task_type',
]);

/** Those that change it, with the values that are supported. */
const ACCEPTED: Readonly<Record<string, readonly unknown[]>> = {
  bias: ['none'],
  fan_in_fan_out: [false],
  use_rslora: [false, true],
  use_dora: [false],
  use_qalora: [false],
  lora_bias: [false],
  modules_to_save: [],
  layers_to_transform: [],
  exclude_modules: [],
  layer_replication: [],
  rank_pattern: [],
  alpha_pattern: [],
  target_parameters: [],
  trainable_token_indices: [],
  // Other ways to begin change the weights that the factors are added to.
  init_lora_weights: [true, false, 'gaussian', 'orthogonal', 'eva'],
};

/** Writes adapter_config.json and adapter_model.safetensors as PEFT reads them. */
export async function saveAdapter(
  adapter: Adapter,
  folder: WritableFolder,
  baseModel: string,
): Promise<void> {
  const flat = await adapter.read();
  const tensors = [...adapter.entries()].map(({ key, shape, offset }) => {
    const data = flat.subarray(offset, offset + shape[0] * shape[1]);
    return [key, { shape, data }] as const;
  });
  const { r, lora_alpha, target_modules, use_rslora = false, lora_dropout = 0 } = adapter.config;
  // PEFT has a field of its own for what stands after the @ of a hub's name.
  const hub = /^([\w.-]+\/[\w.-]+)@(.+)$/.exec(baseModel);
  const config = {
    base_model_name_or_path: hub?.[1] ?? baseModel,
    ...(hub ? { revision: hub[2] } : {}),
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    lora_alpha,
    lora_dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r,
    // PEFT takes it as a word of its own alone.
    target_modules:
      typeof target_modules !== 'string' && target_modules.includes('all-linear')
        ? 'all-linear'
        : target_modules,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora,
  };
  await folder.write('adapter_model.safetensors', writeSafetensors(tensors, { format: 'pt' }));
  await folder.write('adapter_config.json', `${JSON.stringify(config, null, 2)}\n`);
}

/** Loads a PEFT LoRA folder for a model; every factor must be there, and none that the model has no place for. */
export async function loadAdapter(engine: Engine, model: LlamaConfig, folder: Folder): Promise<Adapter> {
  const configName = `${folder.name}/adapter_config.json`;
  const config = parseAdapterConfig(await readJsonObject(folder, 'adapter_config.json'), configName);
  const name = `${folder.name}/adapter_model.safetensors`;
  const { tensors } = parseSafetensors(await folder.read('adapter_model.safetensors'), name);
  const adapter = new Adapter(engine, model, config, configName);
  const values = new Map<string, Float32Array>();
  for (const { key, shape } of adapter.entries()) {
    const tensor = tensors.get(key);
    if (tensor?.shape.join() !== shape.join()) {
      throw new UserError(
        `${name}: expected ${key} with shape [${shape}], got ${tensor ? `[${tensor.shape}]` : 'none'}`,
      );
    }
    values.set(key, tensor.f32());
  }
  for (const key of tensors.keys()) {
    if (!values.has(key))
      throw new UserError(`${name}: ${key} has no place in the model with the target_modules given`);
  }
  adapter.assign(values);
  return adapter;
}

function parseAdapterConfig(json: Record<string, unknown>, name: string): LoraConfig {
  if (json.peft_type !== 'LORA') {
    throw new UserError(`${name}: expected peft_type "LORA", got ${JSON.stringify(json.peft_type)}`);
  }
  for (const [field, value] of Object.entries(json)) {
    if (HARMLESS.has(field)) continue;
    const accepted = ACCEPTED[field] ?? [];
    const empty =
      value === null ||
      value === false ||
      (typeof value === 'object' && Object.keys(value as object).length === 0);
    if (!empty && !accepted.includes(value)) {
      throw new UserError(
        `${name}: ${field} ${JSON.stringify(value)} is not supported; expected ${JSON.stringify(accepted[0] ?? null)}`,
      );
    }
  }
  const { r, lora_alpha, target_modules: targets } = json;
  const named = Array.isArray(targets) && targets.every((target) => typeof target === 'string');
  if (!named && typeof targets !== 'string') {
    throw new UserError(
      `${name}: expected target_modules as names of layers or a regular expression, got ${JSON.stringify(targets)}`,
    );
  }
  const lora: LoraConfig = { r: Number(r), lora_alpha: Number(lora_alpha), target_modules: targets };
  return {
    ...lora,
    ...(json.use_rslora === true ? { use_rslora: true } : {}),
    ...(json.lora_dropout ? { lora_dropout: Number(json.lora_dropout) } : {}),
  };
}
