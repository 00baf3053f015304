import { ADAPTER_FILES, DUAL, EVALUATION, REPORT } from '../../src/align/artefacts.ts';
import type { RunOptions } from '../../src/align/config.ts';
import type { Manifest } from '../../src/data/run.ts';
import { RUNS } from '../../src/host/page/places.ts';
import { foldersIn } from '../../src/host/page/storage.ts';
import { PageFolder } from '../../src/host/page_storage.ts';

/** A run in the storage of the page's origin. */
export interface StoredRun {
  /** Its folder. */
  readonly out: string;
  readonly config: RunOptions;
  /** How far it has come: `solved` waits for a threshold to be chosen, or for training. */
  readonly state: 'begun' | 'solved' | 'training' | 'done';
}

export async function storedRuns(): Promise<StoredRun[]> {
  const runs: StoredRun[] = [];
  for (const name of await foldersIn(RUNS)) {
    const out = `${RUNS}/${name}`;
    const folder = new PageFolder(out);
    try {
      const { config, stages } = JSON.parse(await folder.readText('manifest.json')) as Manifest;
      const has = (file: string) => folder.exists(file);
      const state =
        (await has(REPORT)) && (await has(EVALUATION)) && (await has(ADAPTER_FILES[1]))
          ? 'done'
          : 'label' in stages
            ? 'training'
            : (await has(DUAL))
              ? 'solved'
              : 'begun';
      runs.push({ out, config: config as RunOptions, state });
    } catch {
      // A run that ended before it had made anything.
    }
  }
  return runs.reverse();
}

/** A folder for another run, after those there are. */
export function newRunName(runs: readonly StoredRun[]): string {
  const numbers = runs.map(({ out }) => Number(/-(\d+)$/.exec(out)?.[1] ?? 0));
  return `${RUNS}/run-${String(Math.max(0, ...numbers) + 1).padStart(3, '0')}`;
}

/** What a run is of, for people. */
export function runTitle({ config }: Pick<StoredRun, 'config'>): string {
  const base = (path = '') => path.slice(path.lastIndexOf('/') + 1);
  const { policy, method, limits } = config;
  const name = policy === './demo/policy' ? 'the demo' : base(policy);
  const how = method === 'pecan' ? 'from preferences' : 'by reward and cost';
  const limit = limits?.[0];
  return `${name} ${how}${limit ? `, safety at least ${limit.value} ${limit.kind === 'margin' ? 'over today' : 'in all'}` : ''}`;
}
