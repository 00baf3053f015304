import type { Folder } from '../data/folder.ts';
import { UserError } from '../errors.ts';
import { POLICY_SETTINGS, policyFiles } from '../model/policy_files.ts';
import { WEIGHTS, WEIGHTS_INDEX } from '../model/weight_files.ts';

/** How a download tells what it is doing. */
export interface FetchProgress {
  /** `done` of `total` bytes of what `name` names. */
  download(name: string, done: number, total: number): void;
  say(text: string): void;
}

/** A place to fetch from and the folder that what comes is put into. */
export interface Origin {
  readonly available: readonly string[];
  readonly folder: Folder;
  sizeOf(path: string): number;
  /** Whether the content is on the disk already. */
  has(path: string): Promise<boolean>;
  /** Puts a file into the folder. */
  fetch(path: string, onBytes: (bytes: number) => void): Promise<void>;
}

/** What to fetch: a policy, or all of it but its weights. */
export type Wanted = 'policy' | 'settings';

/** Fetches what a policy is made of, small files first: they say which weights there are, and whether they fit. */
export async function fetchPolicyFiles(
  name: string,
  progress: FetchProgress,
  origin: Origin,
  wanted: Wanted = 'policy',
): Promise<void> {
  const { available, folder } = origin;
  for (const file of ['config.json', 'tokenizer.json']) {
    if (!available.includes(file)) throw new UserError(`${name}: expected ${file} there, found none`);
  }
  const single = available.includes(WEIGHTS);
  const settings = wanted === 'settings';
  if (!settings && !single && !available.includes(WEIGHTS_INDEX)) {
    throw new UserError(
      `${name}: expected ${WEIGHTS} or ${WEIGHTS_INDEX} there, found neither; only safetensors weights are supported`,
    );
  }
  const fetchAll = async (files: readonly string[]) => {
    let total = 0;
    for (const file of files) if (!(await origin.has(file))) total += origin.sizeOf(file);
    let done = 0;
    for (const file of files) {
      await origin.fetch(file, (bytes) => {
        done += bytes;
        progress.download(name, done, total);
      });
    }
  };
  const small = [...POLICY_SETTINGS, ...(single || settings ? [] : [WEIGHTS_INDEX])];
  await fetchAll(small.filter((file) => available.includes(file)));
  if (settings) return;
  const weights = single
    ? [WEIGHTS]
    : (await policyFiles(folder)).filter((file) => file.endsWith('.safetensors'));
  const missing = weights.find((file) => !available.includes(file));
  if (missing) throw new UserError(`${name}: expected the shard ${missing} that its index names, found none`);
  await fetchAll(weights);
}
