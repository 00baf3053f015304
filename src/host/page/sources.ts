import type { ModelSource, Room, Source, Sources } from '../../align/context.ts';
import type { Folder } from '../../data/folder.ts';
import { sha256 } from '../../data/hash.ts';
import type { Prompt } from '../../data/messages.ts';
import { type Judgement, type Preference, parsePreferences } from '../../data/preferences.ts';
import { parsePrompts } from '../../data/prompts.ts';
import type { DeviceInfo, Engine } from '../../engine/engine.ts';
import { createSizingEngine } from '../../engine/sizing.ts';
import { UserError } from '../../errors.ts';
import type { TemplateKwargs } from '../../model/chat.ts';
import type { DtypeChoice } from '../../model/dtype.ts';
import { loadAdapter } from '../../model/peft.ts';
import { loadPolicy, outlinePolicy, type Policy, type PolicyOutline } from '../../model/policy.ts';
import { policyFiles } from '../../model/policy_files.ts';
import { outlineRewardModel } from '../../model/reward_model.ts';
import { EngineScorer } from '../../score/engine.ts';
import { FunctionScorer, type ScoreFunction } from '../../score/function.ts';
import { OnnxScorer } from '../../score/onnx.ts';
import type { Scorer } from '../../score/scorer.ts';
import { sizedDevice, weightBytes } from '../../train/sizing.ts';
import { type DeviceChoice, openEngine } from '../device.ts';
import { hashFolder, hashPolicy, remember, rememberModel, templateParts } from '../known_sources.ts';
import { ONNX_FILES, runsOnEngine, SCORER_FILES } from '../scorer_folder.ts';
import { withHashes } from './hashing.ts';
import { folderOf, readNamed } from './places.ts';

export interface PageSourcesOptions {
  readonly threads?: number;
  readonly dtype?: DtypeChoice;
  /** The setting of that name. */
  readonly chatTemplate?: string;
  /** The setting chat_template_kwargs. */
  readonly chatTemplateKwargs?: TemplateKwargs;
  /** Scorers that are functions of the page's, by the name that a run calls them. */
  readonly functions?: Readonly<Record<string, ScoreFunction>>;
  /** Called once the engine is there. */
  readonly onDevice?: (info: DeviceInfo) => void;
}

/** Inputs of a run in a page, from its server and its storage (`folderOf`). */
export class PageSources implements Sources {
  #device: DeviceChoice;
  #options: PageSourcesOptions;
  #engine: Promise<Engine> | undefined;
  #info: DeviceInfo | undefined;
  #policies = new Map<string, ModelSource<Policy>>();
  #scorers = new Map<string, Source<Scorer>>();

  constructor(device: DeviceChoice, options: PageSourcesOptions = {}) {
    this.#device = device;
    this.#options = options;
  }

  policy(path: string): ModelSource<Policy> {
    return rememberModel(this.#policies, path, {
      hash: async () => hashPolicy(withHashes(folderOf(path)), await this.#template(), this.#dtype()),
      load: async () => loadPolicy(await this.open(), folderOf(path), await this.#loading()),
    });
  }

  async outline(path: string): Promise<PolicyOutline> {
    const { device } = await this.room();
    const { limits } = createSizingEngine(device);
    return await outlinePolicy(limits, folderOf(path), await this.#loading());
  }

  async room(): Promise<Room> {
    return { device: this.#device === 'cpu' ? 'cpu' : sizedDevice(await this.open()) };
  }

  async folder(path: string): Promise<Folder> {
    return folderOf(path);
  }

  async useAdapter(policy: Policy, path: string): Promise<void> {
    policy.adapter?.free();
    policy.adapter = await loadAdapter(policy.engine, policy.config, folderOf(path));
  }

  scorer(spec: string): Source<Scorer> {
    return remember(this.#scorers, spec, {
      hash: () => this.#hashScorer(spec),
      load: () => this.#loadScorer(spec),
    });
  }

  async scorerBytes(spec: string): Promise<number> {
    if (this.#options.functions?.[spec]) return 0;
    const folder = folderOf(splitLabel(spec).path);
    if (!(await runsOnEngine(folder))) return 0;
    const { device } = await this.room();
    return await weightBytes(device, await outlineRewardModel(createSizingEngine(device).limits, folder));
  }

  async prompts(path: string): Promise<readonly Prompt[]> {
    return parsePrompts(new TextDecoder().decode(await readNamed(path)), baseOf(path));
  }

  async preferences(path: string, judgement: Judgement): Promise<readonly Preference[]> {
    return parsePreferences(new TextDecoder().decode(await readNamed(path)), baseOf(path), judgement);
  }

  async engine(): Promise<string> {
    return this.#device === 'auto' ? (await this.open()).info.engine : this.#device;
  }

  device(): DeviceInfo | undefined {
    return this.#info;
  }

  /** The engine, on the device of this host that was chosen. */
  open(): Promise<Engine> {
    this.#engine ??= openEngine(this.#device, { threads: this.#options.threads }).then((engine) => {
      this.#info = engine.info;
      this.#options.onDevice?.(engine.info);
      return engine;
    });
    return this.#engine;
  }

  close(): void {
    // An engine that failed to open has been reported by whoever asked for it.
    void this.#engine?.then(
      (engine) => engine.destroy(),
      () => {},
    );
  }

  #dtype(): DtypeChoice {
    return this.#options.dtype ?? 'auto';
  }

  async #loading() {
    const { chatTemplateKwargs } = this.#options;
    return { dtype: this.#dtype(), chatTemplate: await this.#readTemplate(), chatTemplateKwargs };
  }

  async #template(): Promise<string[]> {
    return templateParts(await this.#readTemplate(), this.#options.chatTemplateKwargs);
  }

  async #readTemplate(): Promise<string | undefined> {
    const { chatTemplate = 'auto' } = this.#options;
    if (chatTemplate === 'auto' || chatTemplate === 'always') return undefined;
    return new TextDecoder().decode(await readNamed(chatTemplate));
  }

  async #hashScorer(spec: string): Promise<string> {
    if (this.#options.functions?.[spec]) return await sha256(spec);
    const { path, label = '' } = splitLabel(spec);
    const folder = withHashes(folderOf(path));
    if (await runsOnEngine(folder)) {
      return await sha256(`${await hashFolder(folder, await policyFiles(folder))}#${await this.engine()}`);
    }
    return await sha256(`${await hashFolder(folder, SCORER_FILES)}#${label}`);
  }

  async #loadScorer(spec: string): Promise<Scorer> {
    const score = this.#options.functions?.[spec];
    if (score) return new FunctionScorer(spec, score);
    const { path, label } = splitLabel(spec);
    const folder = folderOf(path);
    if (await runsOnEngine(folder)) return await EngineScorer.load(await this.open(), folder);
    for (const file of ONNX_FILES) {
      if (await folder.exists(file)) continue;
      throw new UserError(
        `${path}: expected a scorer with model.onnx and tokenizer.json; ${file} is not there`,
      );
    }
    return await OnnxScorer.load(folder, label);
  }
}

/** `folder#label`. */
function splitLabel(spec: string): { path: string; label?: string } {
  const cut = spec.lastIndexOf('#');
  return cut < 1 ? { path: spec } : { path: spec.slice(0, cut), label: spec.slice(cut + 1) };
}

const baseOf = (path: string) => path.slice(path.lastIndexOf('/') + 1);
