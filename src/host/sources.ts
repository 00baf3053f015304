import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Room, Source, Sources } from '../align/context.ts';
import { sha256 } from '../data/hash.ts';
import type { Prompt } from '../data/messages.ts';
import { type Judgement, type Preference, parsePreferences } from '../data/preferences.ts';
import { parsePrompts } from '../data/prompts.ts';
import type { DeviceInfo, Engine } from '../engine/engine.ts';
import { createSizingEngine } from '../engine/sizing.ts';
import { messageOf, UserError } from '../errors.ts';
import { type LlamaConfig, loadLlamaConfig } from '../model/config.ts';
import type { DtypeChoice } from '../model/dtype.ts';
import { loadAdapter } from '../model/peft.ts';
import { loadPolicy, outlinePolicy, type Policy, type PolicyOutline } from '../model/policy.ts';
import { policyFiles } from '../model/policy_files.ts';
import { loadRewardModel, type RewardModel } from '../model/reward_model.ts';
import type { Scorer } from '../score/scorer.ts';
import { sizedDevice } from '../train/sizing.ts';
import { type DeviceChoice, openEngine } from './device.ts';
import { DiskFolder } from './disk.ts';
import type { FetchProgress } from './fetched.ts';
import { fetchHubModel } from './hub.ts';
import { parseHubName } from './hub_model.ts';
import { hashFolder, hashPolicy, remember } from './known_sources.ts';
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
  readonly progress?: FetchProgress;
}

/** Inputs of a run from the disk, policies from a hub or a URL too, in Node and Deno; the device is asked for when a policy is first loaded. */
export class DiskSources implements Sources {
  #engine: Promise<Engine> | undefined;
  #info: DeviceInfo | undefined;
  #policies = new Map<string, Source<Policy>>();
  #scorers = new Map<string, Source<Scorer>>();
  #device: DeviceChoice;
  #threads: number | undefined;
  #memory: number | undefined;
  #dtype: DtypeChoice;
  #chatTemplate: string;
  #progress: FetchProgress;
  #folders = new Map<string, Promise<DiskFolder>>();

  constructor(device: DeviceChoice, options: DiskSourcesOptions = {}) {
    const { threads, memory, dtype = 'auto', chatTemplate = 'auto', progress = QUIET } = options;
    this.#device = device;
    this.#dtype = dtype;
    this.#threads = threads;
    this.#memory = memory;
    this.#chatTemplate = chatTemplate;
    this.#progress = progress;
  }

  policy(path: string): Source<Policy> {
    return remember(this.#policies, path, {
      hash: () => this.#hashPolicy(path),
      load: () => this.#load(path),
    });
  }

  /** A reward model to train, from itself or a language model, and the folder it came from. */
  async rewardModel(path: string, seed: number): Promise<{ model: RewardModel; base: DiskFolder }> {
    const engine = await this.#open();
    const base = await this.#folder(path);
    return { model: await loadRewardModel(engine, base, { dtype: this.#dtype, seed }), base };
  }

  scorer(spec: string): Source<Scorer> {
    return remember(this.#scorers, spec, {
      hash: () => this.#hashScorer(spec),
      load: () => loadScorer(spec, () => this.#open()),
    });
  }

  async useAdapter(policy: Policy, path: string): Promise<void> {
    policy.adapter?.free();
    policy.adapter = await loadAdapter(policy.engine, policy.config, new DiskFolder(path));
  }

  async prompts(path: string): Promise<readonly Prompt[]> {
    return parsePrompts(new TextDecoder().decode(await readBytes(path)), basename(path));
  }

  async preferences(path: string, judgement: Judgement): Promise<readonly Preference[]> {
    const bytes = await readBytes(path);
    const text = new TextDecoder().decode(path.endsWith('.gz') ? await gunzip(bytes) : bytes);
    return parsePreferences(text, basename(path), judgement);
  }

  async engine(): Promise<string> {
    return this.#device === 'auto' ? (await this.#open()).info.engine : this.#device;
  }

  async room(): Promise<Room> {
    const limit = this.#memory;
    if (this.#device === 'cpu') return { device: 'cpu', limit };
    return { device: sizedDevice(await this.#open()), limit };
  }

  /** The model of a folder that may hold nothing but config.json. */
  async config(path: string): Promise<LlamaConfig> {
    return await loadLlamaConfig(await this.#folder(path));
  }

  async outline(path: string): Promise<PolicyOutline> {
    const { device, limit } = await this.room();
    const { limits } = createSizingEngine(device);
    const total = Math.min(limits.total ?? Infinity, limit ?? Infinity);
    return await outlinePolicy({ ...limits, total }, await this.#folder(path), {
      dtype: this.#dtype,
      chatTemplate: await this.#readTemplate(),
    });
  }

  device(): DeviceInfo | undefined {
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
    this.#info = engine.info;
    return await loadPolicy(engine, await this.#folder(path), {
      dtype: this.#dtype,
      chatTemplate: await this.#readTemplate(),
    });
  }

  async #hashPolicy(path: string): Promise<string> {
    return await hashPolicy(await this.#folder(path), await this.#readTemplate(), this.#dtype);
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

  /** The folder that a policy's name stands for: one on the disk, else a URL's or the hub's. */
  #folder(name: string): Promise<DiskFolder> {
    let folder = this.#folders.get(name);
    if (!folder) {
      folder = this.#findFolder(name);
      this.#folders.set(name, folder);
    }
    return folder;
  }

  async #findFolder(name: string): Promise<DiskFolder> {
    if (/^https?:\/\//i.test(name)) return await fetchWebFolder(name, this.#progress);
    const model = (await isFolder(name)) ? undefined : parseHubName(name);
    return model ? await fetchHubModel(model, this.#progress) : new DiskFolder(name);
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
