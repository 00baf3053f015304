import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Source, Sources } from '../align/context.ts';
import { sha256 } from '../data/hash.ts';
import { parsePrompts } from '../data/prompts.ts';
import type { DeviceInfo, Engine } from '../engine/engine.ts';
import { createWebGpuEngine } from '../engine/webgpu/engine.ts';
import { messageOf, UserError } from '../errors.ts';
import { loadAdapter } from '../model/peft.ts';
import { loadPolicy, type Policy } from '../model/policy.ts';
import { loadScorer, parseScorerSpec, SCORER_FILES } from '../score/load.ts';
import type { Scorer } from '../score/scorer.ts';
import { DiskFolder } from './disk.ts';
import { requestDevice } from './gpu.ts';

const POLICY_FILES = ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json'];

/** Inputs of a run from the disk, in Node and Deno; the device is asked for when a policy is first loaded. */
export class DiskSources implements Sources {
  #engine: Promise<Engine> | undefined;
  #policies = new Map<string, Promise<Policy>>();
  #info: DeviceInfo | undefined;

  policy(path: string): Source<Policy> {
    return {
      hash: once(() => hashFolder(path, POLICY_FILES)),
      load: () => {
        let policy = this.#policies.get(path);
        if (!policy) {
          policy = this.#load(path);
          this.#policies.set(path, policy);
        }
        return policy;
      },
    };
  }

  async useAdapter(policy: Policy, path: string): Promise<void> {
    policy.adapter?.free();
    policy.adapter = await loadAdapter(policy.engine, policy.config, new DiskFolder(path));
  }

  scorer(spec: string): Source<Scorer> {
    return {
      hash: once(() => hashScorer(spec)),
      load: () => loadScorer(spec),
    };
  }

  async prompts(path: string): Promise<readonly string[]> {
    return parsePrompts(new TextDecoder().decode(await readBytes(path)), basename(path));
  }

  device(): DeviceInfo | undefined {
    return this.#info;
  }

  close(): void {
    void this.#engine?.then((engine) => engine.destroy());
  }

  async #load(path: string): Promise<Policy> {
    this.#engine ??= openEngine();
    const engine = await this.#engine;
    this.#info = engine.info;
    return await loadPolicy(engine, new DiskFolder(path));
  }
}

async function openEngine(): Promise<Engine> {
  const { device, info } = await requestDevice();
  return createWebGpuEngine(device, info);
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

/** Two labels of one model are two scorers. */
async function hashScorer(spec: string): Promise<string> {
  const { path, label = '' } = await parseScorerSpec(spec);
  const files = (await isFolder(path))
    ? await hashFolder(path, SCORER_FILES)
    : await sha256(await readBytes(path));
  return await sha256(`${files}#${label}`);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** sha-256 over the hashes of those files of a folder that exist. */
async function hashFolder(path: string, files: readonly string[]): Promise<string> {
  const folder = new DiskFolder(path);
  const hashes: string[] = [];
  for (const file of files) {
    if (await folder.exists(file)) hashes.push(`${file} ${await sha256(await folder.read(file))}`);
  }
  return await sha256(hashes.join('\n'));
}

function once<T>(compute: () => Promise<T>): () => Promise<T> {
  let value: Promise<T> | undefined;
  return () => {
    value ??= compute();
    return value;
  };
}
