import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { UserError } from '../errors.ts';
import { POLICY_SETTINGS } from '../model/policy_files.ts';
import { shardsOf, WEIGHTS, WEIGHTS_INDEX } from '../model/weight_files.ts';
import { DiskFolder, makeFolder } from './disk.ts';
import { downloadFile, sizeOf } from './download.ts';
import { type FetchProgress, fetchPolicyFiles, type Wanted } from './fetched.ts';
import { causeOf, type RemoteFile } from './hub_model.ts';

/** What a server says of a file. */
interface WebFile extends RemoteFile {
  /** Changes with the content: the ETag, else the day and size. */
  readonly version: string;
}

/**
 * The local folder with the files of a Hugging Face folder on a web server. Each is fetched once, and again when the
 * server names another version of it. The cache is XDG_CACHE_HOME, or ~/.cache, with dualign/web below it.
 */
export async function fetchWebFolder(
  url: string,
  progress: FetchProgress,
  wanted: Wanted = 'policy',
): Promise<DiskFolder> {
  const base = url.replace(/\/+$/, '');
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const path = join(cache, 'dualign', 'web', shortHash(base));
  const folder = new DiskFolder(path);
  const remote = new Map<string, WebFile>();
  const look = async (file: string) => {
    const found = await describe(`${base}/${file}`);
    if (found) remote.set(file, found);
  };
  for (const file of POLICY_SETTINGS) await look(file);
  const lookForWeights = async () => {
    await look(WEIGHTS);
    if (remote.has(WEIGHTS)) return;
    await look(WEIGHTS_INDEX);
    if (!remote.has(WEIGHTS_INDEX)) return;
    const name = `${base}/${WEIGHTS_INDEX}`;
    const index = (await (await fetch(name)).json()) as Record<string, unknown>;
    for (const shard of new Set(shardsOf(index, name).values())) await look(shard);
  };
  if (wanted === 'policy') await lookForWeights();
  const recordOf = (file: string) => join(path, `.version-${file}`);
  const kept = async (file: string) => {
    const { version, size } = remote.get(file)!;
    return (await versionOf(recordOf(file))) === version && (await sizeOf(join(path, file))) === size;
  };
  await fetchPolicyFiles(
    base,
    progress,
    {
      available: [...remote.keys()],
      folder,
      sizeOf: (file) => remote.get(file)!.size,
      has: kept,
      async fetch(file, onBytes) {
        if (await kept(file)) return;
        const found = remote.get(file)!;
        const target = join(path, file);
        await makeFolder(path);
        const partial = join(path, `${file}.${shortHash(found.version)}.incomplete`);
        await downloadFile(found, target, partial, {}, onBytes);
        await writeFile(recordOf(file), found.version);
      },
    },
    wanted,
  );
  return folder;
}

/** Undefined when the server has no such file. */
async function describe(url: string): Promise<WebFile | undefined> {
  let response: Response;
  try {
    response = await fetch(url, { method: 'HEAD', headers: { 'Accept-Encoding': 'identity' } });
  } catch (error) {
    throw new UserError(`${url}: the server cannot be reached (${causeOf(error)}); check the address`);
  }
  if (response.status === 404) return undefined;
  const size = Number(response.headers.get('Content-Length') ?? Number.NaN);
  if (!response.ok || !Number.isSafeInteger(size)) {
    const what = response.ok ? 'did not say how long it is' : `answered ${response.status}`;
    throw new UserError(`${url}: expected a file, but the server ${what}`);
  }
  const etag = response.headers.get('X-Linked-Etag') ?? response.headers.get('ETag') ?? '';
  const sha256 = /^(?:W\/)?"?([0-9a-f]{64})"?$/.exec(etag)?.[1];
  const version = etag || `${response.headers.get('Last-Modified') ?? ''} ${size}`;
  return { url, name: url, size, version, ...(sha256 ? { sha256 } : {}) };
}

async function versionOf(record: string): Promise<string | undefined> {
  try {
    return await readFile(record, 'utf8');
  } catch {
    return undefined;
  }
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
