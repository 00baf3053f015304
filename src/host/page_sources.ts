import type { Room, Source, Sources } from '../align/context.ts';
import type { Folder } from '../data/folder.ts';
import { sha256 } from '../data/hash.ts';
import type { Prompt } from '../data/messages.ts';
import { type Judgement, type Preference, parsePreferences } from '../data/preferences.ts';
import { parsePrompts } from '../data/prompts.ts';
import type { DeviceInfo, Engine } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import type { DtypeChoice } from '../model/dtype.ts';
import { loadAdapter } from '../model/peft.ts';
import { loadPolicy, outlinePolicy, type Policy, type PolicyOutline } from '../model/policy.ts';
import { policyFiles } from '../model/policy_files.ts';
import type { Scorer } from '../score/scorer.ts';
import { sizedDevice } from '../train/sizing.ts';
import { PageFolder } from './page_storage.ts';

/** Where a page finds what the settings of a run name. */
export interface PageInputs {
  /** The Hugging Face folder of a policy. */
  policy(path: string): Folder;
  /** The text of a file of prompts or preferences. */
  text(path: string): Promise<string>;
  /** Only runs with scorers ask for one. */
  scorer?(spec: string): Source<Scorer>;
}

/** Inputs of a run in a browser, in a page or a worker; run folders are in the storage of the page's origin. */
export class PageSources implements Sources {
  #engine: Engine;
  #inputs: PageInputs;
  #dtype: DtypeChoice;
  #policies = new Map<string, { hash?: Promise<string>; policy?: Promise<Policy> }>();

  constructor(engine: Engine, inputs: PageInputs, dtype: DtypeChoice = 'auto') {
    this.#engine = engine;
    this.#inputs = inputs;
    this.#dtype = dtype;
  }

  policy(path: string): Source<Policy> {
    const known = this.#policies.get(path) ?? {};
    this.#policies.set(path, known);
    const folder = this.#inputs.policy(path);
    return {
      hash: () => {
        known.hash ??= hashPolicy(folder, this.#dtype);
        return known.hash;
      },
      load: () => {
        known.policy ??= loadPolicy(this.#engine, folder, { dtype: this.#dtype });
        return known.policy;
      },
    };
  }

  outline(path: string): Promise<PolicyOutline> {
    return outlinePolicy(this.#engine.limits, this.#inputs.policy(path), { dtype: this.#dtype });
  }

  async room(): Promise<Room> {
    return { device: sizedDevice(this.#engine), limit: this.#engine.limits.total };
  }

  async useAdapter(policy: Policy, path: string): Promise<void> {
    policy.adapter?.free();
    policy.adapter = undefined;
    policy.adapter = await loadAdapter(policy.engine, policy.config, new PageFolder(path));
  }

  scorer(spec: string): Source<Scorer> {
    if (this.#inputs.scorer) return this.#inputs.scorer(spec);
    throw new UserError(`${spec}: this page runs no scorers; give preferences, or run the command`);
  }

  async prompts(path: string): Promise<readonly Prompt[]> {
    return parsePrompts(await this.#inputs.text(path), path);
  }

  async preferences(path: string, judgement: Judgement): Promise<readonly Preference[]> {
    return parsePreferences(await this.#inputs.text(path), path, judgement);
  }

  async engine(): Promise<string> {
    return this.#engine.info.engine;
  }

  device(): DeviceInfo {
    return this.#engine.info;
  }
}

/** The hash that the command gives the same folder. */
async function hashPolicy(folder: Folder, dtype: DtypeChoice): Promise<string> {
  const hashes: string[] = [];
  for (const [index, file] of (await policyFiles(folder)).entries()) {
    if (index > 0 && !(await folder.exists(file))) continue;
    hashes.push(`${file} ${await sha256(await folder.read(file))}`);
  }
  const files = await sha256(hashes.join('\n'));
  return dtype === 'auto' || dtype === 'float32' ? files : await sha256(`${files}\n${dtype}`);
}
