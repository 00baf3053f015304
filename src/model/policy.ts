import type { Folder } from '../data/folder.ts';
import type { Engine, MemoryLimits } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import { loadWasm } from '../wasm.ts';
import { type ChatTemplate, loadChatTemplate, type TemplateKwargs } from './chat.ts';
import { type LlamaConfig, loadEosIds, loadLlamaConfig } from './config.ts';
import type { DtypeChoice, HeldFormats } from './dtype.ts';
import { initializeWeights } from './initialize.ts';
import type { Llama } from './llama.ts';
import { Adapter, type LoraConfig } from './lora.ts';
import { namedWeights } from './parameters.ts';
import { loadAdapter } from './peft.ts';
import { ropeTables } from './rope.ts';
import { checkVocabulary, loadTokenizer, type Tokenizer } from './tokenizer.ts';
import { type LlamaWeights, loadWeights, weightFormats } from './weights.ts';
import { Workspace } from './workspace.ts';

/** A language model with its tokenizer; with its adapter switched off it is the reference policy. */
export interface Policy extends Llama {
  /** How a person would name the model, for messages. */
  readonly name: string;
  readonly tokenizer: Tokenizer;
  /** How conversations become text; undefined when the model has no template. */
  readonly chatTemplate: ChatTemplate | undefined;
  /** Tokens that end a response; may be empty. */
  readonly eosIds: readonly number[];
  /** The token that a text to learn from is ended by, as in TRL: the tokenizer's eos_token, else the first of `eosIds`. */
  readonly endId: number | undefined;
  /** Longest sequence the policy takes, prompt and response together. */
  readonly maxLength: number;
  adapter: Adapter | undefined;
}

/** Positions to make tables for: a model may claim far more than anyone asks for. */
const DEFAULT_MAX_LENGTH = 8192;

/** How a policy is loaded. */
export interface LoadPolicyOptions {
  /** A PEFT folder. */
  readonly adapter?: Folder;
  /** A Jinja chat template in place of the folder's own. */
  readonly chatTemplate?: string;
  /** Settings of the template's own. */
  readonly chatTemplateKwargs?: TemplateKwargs;
  /** What the weights are held as; `auto` by default. */
  readonly dtype?: DtypeChoice;
  /** Longest sequence to prepare for; the model's own limit or 8192, whichever is less, by default. */
  readonly maxLength?: number;
  /** Draw the weights anew from this seed, in float32; those of the folder, if there are any, are not read. */
  readonly initialSeed?: number;
}

/** A policy without its weights: what a plan of memory needs to know of it. */
export interface PolicyOutline
  extends Pick<Policy, 'name' | 'config' | 'tokenizer' | 'chatTemplate' | 'eosIds' | 'endId' | 'maxLength'> {
  /** What its weights will be held as. */
  readonly formats: HeldFormats;
}

/** Reads all of a folder but its weights, of which it reads the headers. */
export async function outlinePolicy(
  limits: MemoryLimits,
  folder: Folder,
  options: LoadPolicyOptions = {},
): Promise<PolicyOutline> {
  const config = await loadLlamaConfig(folder);
  return await outlineModel(limits, folder, config, options);
}

/** The same, of a model whose configuration is known. */
export async function outlineModel(
  limits: MemoryLimits,
  folder: Folder,
  config: LlamaConfig,
  options: LoadPolicyOptions,
): Promise<PolicyOutline> {
  const { dtype = 'auto', initialSeed } = options;
  return {
    ...(await readText(folder, config, options)),
    config,
    formats:
      initialSeed === undefined
        ? await weightFormats(limits, folder, config, dtype)
        : { linear: 'f32', embedding: 'f32' },
  };
}

/** All of a policy that is not numbers. */
async function readText(
  folder: Folder,
  { vocabSize, maxPositions }: LlamaConfig,
  options: LoadPolicyOptions,
) {
  const tokenizer = await loadTokenizer(folder);
  checkVocabulary(tokenizer, vocabSize, folder.name);
  const eosIds = await loadEosIds(folder);
  const maxLength = options.maxLength ?? Math.min(maxPositions, DEFAULT_MAX_LENGTH);
  if (maxLength > maxPositions) {
    throw new UserError(`${folder.name}: expected at most ${maxPositions} positions, got ${maxLength}`);
  }
  return {
    name: folder.name,
    tokenizer,
    chatTemplate: await loadChatTemplate(folder, options.chatTemplate, options.chatTemplateKwargs),
    eosIds,
    endId: tokenizer.eosId ?? eosIds[0],
    maxLength,
  };
}

/** Loads a Hugging Face folder: config.json, model.safetensors, tokenizer.json, and generation_config.json if there. */
export async function loadPolicy(
  engine: Engine,
  folder: Folder,
  options: LoadPolicyOptions = {},
): Promise<Policy> {
  const config = await loadLlamaConfig(folder);
  const { dtype, initialSeed } = options;
  return await assemblePolicy(engine, folder, config, options, async () =>
    initialSeed === undefined
      ? await loadWeights(engine, folder, config, dtype)
      : await initializeWeights(engine, folder, config, initialSeed),
  );
}

/** A policy of a folder's tokenizer and settings; `load` is called once they have been checked. */
export async function assemblePolicy<W extends LlamaWeights>(
  engine: Engine,
  folder: Folder,
  config: LlamaConfig,
  options: LoadPolicyOptions,
  load: () => Promise<W>,
): Promise<Policy & { readonly weights: W }> {
  const text = await readText(folder, config, options);
  const policy = {
    ...text,
    engine,
    config,
    weights: await load(),
    rope: ropeTables(engine, config, text.maxLength, await loadWasm()),
    workspace: new Workspace(engine),
    adapter: undefined,
  };
  if (!options.adapter) return policy;
  try {
    return { ...policy, adapter: await loadAdapter(engine, config, options.adapter) };
  } catch (error) {
    freePolicy(policy);
    throw error;
  }
}

/** Gives the policy a new adapter that leaves it unchanged until trained; the old one is freed. */
export function addAdapter(policy: Policy, config: LoraConfig, seed: number): Adapter {
  const adapter = new Adapter(policy.engine, policy.config, config);
  adapter.initialize(seed);
  policy.adapter?.free();
  policy.adapter = adapter;
  return adapter;
}

/** Frees all that a policy holds on its device. */
export function freePolicy({ engine, config, weights, rope, workspace, adapter }: Policy): void {
  workspace.free();
  adapter?.free();
  engine.free(rope.cos, rope.sin, ...[...namedWeights(config, weights)].map(({ tensor }) => tensor));
}

/** Throws unless a sequence of prompt and response fits the policy. */
export function checkSequence(policy: Policy, promptIds: readonly number[], responseLength: number): void {
  if (promptIds.length === 0) {
    throw new UserError(`${policy.name}: expected a prompt of at least one token, got none`);
  }
  const length = promptIds.length + responseLength;
  if (length > policy.maxLength) {
    throw new UserError(
      `${policy.name}: expected at most ${policy.maxLength} tokens, ` +
        `got a prompt of ${promptIds.length} and a response of ${responseLength}; shorten one of them`,
    );
  }
}
