import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { ModelSource, ModelSources, Room, Source } from '../align/context.ts';
import { type Example, parseExamples } from '../data/examples.ts';
import { sha256 } from '../data/hash.ts';
import type { Prompt } from '../data/messages.ts';
import { type Judgement, type Preference, parsePreferences } from '../data/preferences.ts';
import { parsePrompts } from '../data/prompts.ts';
import type { RunDevice } from '../data/run.ts';
import type { Engine, MemoryLimits } from '../engine/engine.ts';
import { createSizingEngine } from '../engine/sizing.ts';
import { messageOf, UserError } from '../errors.ts';
import type { TemplateKwargs } from '../model/chat.ts';
import { loadLlamaConfig } from '../model/config.ts';
import { type DtypeChoice, dtypeOf } from '../model/dtype.ts';
import { loadAdapter } from '../model/peft.ts';
import { loadPolicy, outlinePolicy, type Policy, type PolicyOutline } from '../model/policy.ts';
import { policyFiles } from '../model/policy_files.ts';
import {
  type LoadRewardOptions,
  loadRewardModel,
  outlineRewardModel,
  type RewardModel,
} from '../model/reward_model.ts';
import { plannedFormats } from '../model/weights.ts';
import type { Scorer } from '../score/scorer.ts';
import { mostOf } from '../train/memory_plan.ts';
import { sizedDevice, weightBytes } from '../train/sizing.ts';
import { type DeviceChoice, openEngine } from './device.ts';
import { DiskFolder } from './disk.ts';
import type { FetchProgress, Wanted } from './fetched.ts';
import { fetchHubModel } from './hub.ts';
import { parseHubName } from './hub_model.ts';
import { hashFolder, hashPolicy, remember, rememberModel, templateParts } from './known_sources.ts';
import { runsOnEngine, SCORER_FILES } from './scorer_folder.ts';
import { loadScorer, parseScorerSpec } from './scorers.ts';
import { fetchWebFolder } from './web_folder.ts';

const QUIET: FetchProgress = { download: () => {}, say: () => {} };

export interface DiskSourcesOptions {
  /** Of the CPU engine. */
  readonly threads?: number;
  /** Bytes that a run is to keep below. */
  readonly memory?: number;
  /** What a policy's weights are held as. */
  readonly dtype?: DtypeChoice;
  /** The setting of that name. */
  readonly chatTemplate?: string;
  /** The setting chat_template_kwargs. */
  readonly chatTemplateKwargs?: TemplateKwargs;
  /** Draw a policy's weights anew from this seed. */
  readonly initialSeed?: number;
  /** Of what a language model lacks to be a reward model. */
  readonly seed?: number;
  readonly progress?: FetchProgress;
}

/** Inputs of a run from the disk, policies from a hub or a URL too, in Node and Deno; the device is asked for when a policy is first loaded. */
export class DiskSources implements ModelSources {
  #engine: Promise<Engine> | undefined;
  #info: RunDevice | undefined;
  #policies = new Map<string, ModelSource<Policy>>();
  #rewardModels = new Map<string, ModelSource<RewardModel>>();
  #scorers = new Map<string, Source<Scorer>>();
  #device: DeviceChoice;
  #threads: number | undefined;
  #memory: number | undefined;
  #dtype: DtypeChoice;
  #chatTemplate: string;
  #chatTemplateKwargs: TemplateKwargs | undefined;
  #initialSeed: number | undefined;
  #seed: number;
  #progress: FetchProgress;
  #folders = new Map<string, Promise<DiskFolder>>();

  constructor(device: DeviceChoice, options: DiskSourcesOptions = {}) {
    const { threads, memory, dtype = 'auto', chatTemplate = 'auto', initialSeed, seed = 0 } = options;
    this.#device = device;
    this.#dtype = dtype;
    this.#threads = threads;
    this.#memory = memory;
    this.#chatTemplate = chatTemplate;
    this.#chatTemplateKwargs = options.chatTemplateKwargs;
    this.#initialSeed = initialSeed;
    this.#seed = seed;
    this.#progress = options.progress ?? QUIET;
  }

  policy(path: string): ModelSource<Policy> {
    return rememberModel(this.#policies, path, {
      hash: () => this.#hashPolicy(path),
      load: () => this.#load(path),
    });
  }

  rewardModel(path: string): ModelSource<RewardModel> {
    return rememberModel(this.#rewardModels, path, {
      hash: () => this.#hashPolicy(path),
      load: async () => {
        const engine = await this.#open();
        const model = await loadRewardModel(engine, await this.folder(path), await this.#options());
        this.#held(model);
        return model;
      },
    });
  }

  scorer(spec: string): Source<Scorer> {
    return remember(this.#scorers, spec, {
      hash: () => this.#hashScorer(spec),
      load: () => loadScorer(spec, () => this.#open()),
    });
  }

  async scorerBytes(spec: string): Promise<number> {
    const folder = new DiskFolder((await parseScorerSpec(spec)).path);
    if (!(await runsOnEngine(folder))) return 0;
    return await weightBytes(
      (await this.room()).device,
      await outlineRewardModel(await this.#limits(), folder),
    );
  }

  async useAdapter(policy: Policy, path: string): Promise<void> {
    policy.adapter?.free();
    policy.adapter = await loadAdapter(policy.engine, policy.config, new DiskFolder(path));
  }

  async prompts(path: string): Promise<readonly Prompt[]> {
    return parsePrompts(new TextDecoder().decode(await readBytes(path)), basename(path));
  }

  async preferences(path: string, judgement: Judgement): Promise<readonly Preference[]> {
    return parsePreferences(await readRows(path), rowsName(path), judgement);
  }

  async examples(path: string): Promise<readonly Example[]> {
    return parseExamples(await readRows(path), rowsName(path));
  }

  async engine(): Promise<string> {
    return this.#device === 'auto' ? (await this.#open()).info.engine : this.#device;
  }

  async room(): Promise<Room> {
    const limit = this.#memory;
    if (this.#device === 'cpu') return { device: 'cpu', limit };
    return { device: sizedDevice(await this.#open()), limit };
  }

  /** The model of a folder that may hold nothing but config.json, and what its weights would be held as. */
  async sketch(path: string): Promise<Pick<PolicyOutline, 'config' | 'formats'>> {
    const folder = await this.#find(path, 'settings');
    const config = await loadLlamaConfig(folder);
    const formats = plannedFormats(await this.#limits(), folder.name, config, this.#dtype);
    return { config, formats };
  }

  async outline(path: string): Promise<PolicyOutline> {
    return await outlinePolicy(await this.#limits(), await this.folder(path), await this.#options());
  }

  async outlineReward(path: string): Promise<PolicyOutline> {
    return await outlineRewardModel(await this.#limits(), await this.folder(path), await this.#options());
  }

  device(): RunDevice | undefined {
    return this.#info;
  }

  close(): void {
    // An engine that failed to open has been reported by whoever asked for it.
    void this.#engine?.then(
      (engine) => engine.destroy(),
      () => {},
    );
  }

  async #load(path: string): Promise<Policy> {
    const engine = await this.#open();
    const policy = await loadPolicy(engine, await this.folder(path), await this.#options());
    this.#held(policy);
    return policy;
  }

  async #options(): Promise<LoadRewardOptions> {
    return {
      dtype: this.#dtype,
      chatTemplate: await this.#readTemplate(),
      chatTemplateKwargs: this.#chatTemplateKwargs,
      initialSeed: this.#initialSeed,
      seed: this.#seed,
    };
  }

  async #limits(): Promise<MemoryLimits> {
    const room = await this.room();
    return { ...createSizingEngine(room.device).limits, total: mostOf(room) };
  }

  #held({ engine, weights }: Policy): void {
    this.#info = { ...engine.info, dtype: dtypeOf(weights.blocks[0].linears.q_proj) };
  }

  async #hashPolicy(path: string): Promise<string> {
    const template = templateParts(await this.#readTemplate(), this.#chatTemplateKwargs);
    return await hashPolicy(await this.folder(path), template, this.#dtype, this.#initialSeed);
  }

  /** Two labels of one model are two scorers, and so is one model on two engines. */
  async #hashScorer(spec: string): Promise<string> {
    const { path, label = '' } = await parseScorerSpec(spec);
    if (await runsOnEngine(new DiskFolder(path))) {
      const files = await hashFolder(new DiskFolder(path), await policyFiles(new DiskFolder(path)));
      return await sha256(`${files}#${await this.engine()}`);
    }
    const files = (await isFolder(path))
      ? await hashFolder(new DiskFolder(path), SCORER_FILES)
      : await sha256(await readBytes(path));
    return await sha256(`${files}#${label}`);
  }

  /**
   * The folder that a policy's name stands for: one on the disk, else a URL's or the hub's. Weights that are drawn anew are
   * not fetched.
   */
  folder(name: string): Promise<DiskFolder> {
    let folder = this.#folders.get(name);
    if (!folder) {
      folder = this.#find(name, this.#initialSeed === undefined ? 'policy' : 'settings');
      this.#folders.set(name, folder);
    }
    return folder;
  }

  async #find(name: string, wanted: Wanted): Promise<DiskFolder> {
    if (/^https?:\/\//i.test(name)) return await fetchWebFolder(name, this.#progress, wanted);
    const model = (await isFolder(name)) ? undefined : parseHubName(name);
    return model ? await fetchHubModel(model, this.#progress, wanted) : new DiskFolder(name);
  }

  /** The template's text, where the setting names a file. */
  async #readTemplate(): Promise<string | undefined> {
    if (this.#chatTemplate === 'auto' || this.#chatTemplate === 'always') return undefined;
    return new TextDecoder().decode(await readBytes(this.#chatTemplate));
  }

  #open(): Promise<Engine> {
    this.#engine ??= openEngine(this.#device, { threads: this.#threads, memory: this.#memory });
    return this.#engine;
  }
}

/** The text of a file of rows, which may be compressed. */
async function readRows(path: string): Promise<string> {
  const bytes = await readBytes(path);
  return new TextDecoder().decode(path.endsWith('.gz') ? await gunzip(bytes) : bytes);
}

function rowsName(path: string): string {
  return basename(path, '.gz');
}

async function gunzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const missing = (error as { code?: string }).code === 'ENOENT';
    throw new UserError(
      missing ? `${path}: no such file` : `${path}: could not be read (${messageOf(error)})`,
    );
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
