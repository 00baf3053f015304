import { copyFile, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { UserError } from '../errors.ts';
import { WEIGHTS, WEIGHTS_INDEX } from '../model/weight_files.ts';
import { DiskFolder, makeFolder } from './disk.ts';
import { downloadFile } from './download.ts';
import { type FetchProgress, fetchPolicyFiles, type Wanted } from './fetched.ts';
import { ask, COMMIT, causeOf, type HubModel, listModel, reasonOf } from './hub_model.ts';

/** HF_ENDPOINT, else the public hub. */
function endpoint(): string {
  return (process.env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
}

/** The folder that Hugging Face's own libraries keep their files in. */
function hubHome(): string {
  return process.env.HF_HOME || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
}

function hubCache(): string {
  return process.env.HF_HUB_CACHE || process.env.HUGGINGFACE_HUB_CACHE || join(hubHome(), 'hub');
}

/** HF_TOKEN, else the token that `hf auth login` left. */
async function accessToken(): Promise<string | undefined> {
  if (process.env.HF_TOKEN) return process.env.HF_TOKEN;
  try {
    const path = process.env.HF_TOKEN_PATH || join(hubHome(), 'token');
    return (await readFile(path, 'utf8')).trim() || undefined;
  } catch {
    return undefined;
  }
}

/**
 * The local folder with a hub model's files, fetched as far as they are not in the cache. The cache is laid out as
 * Hugging Face's libraries do, blobs by checksum and a snapshot for each commit, so that one copy serves all. Without
 * the hub (unreachable, or HF_HUB_OFFLINE=1), a whole copy in the cache is taken.
 */
export async function fetchHubModel(
  { id, revision }: HubModel,
  progress: FetchProgress,
  wanted: Wanted = 'policy',
): Promise<DiskFolder> {
  const store = join(hubCache(), `models--${id.replace('/', '--')}`);
  const ref = join(store, 'refs', revision);
  const snapshot = (commit: string) => join(store, 'snapshots', commit);
  const known = COMMIT.test(revision) ? revision : await readText(ref);
  const cached = async () => known !== undefined && (await isWhole(snapshot(known), wanted));
  if (process.env.HF_HUB_OFFLINE === '1' || COMMIT.test(revision)) {
    if (known !== undefined && (await cached())) return new DiskFolder(snapshot(known));
    if (process.env.HF_HUB_OFFLINE === '1') {
      throw new UserError(
        `${id}: no such folder, and no whole copy of ${id}@${revision} in ${hubCache()}; HF_HUB_OFFLINE=1 keeps from fetching it`,
      );
    }
  }
  const token = await accessToken();
  const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  let commit: string;
  try {
    commit = await commitOf(id, revision, headers);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (known !== undefined && (await cached())) {
      progress.say(
        `${id}: ${endpoint()} cannot be reached; taking the copy in the cache, ${known.slice(0, 8)}`,
      );
      return new DiskFolder(snapshot(known));
    }
    throw new UserError(
      `${id}: no such folder, and ${endpoint()} cannot be reached to fetch it (${causeOf(error)}); ` +
        'check the path or the network, or set HF_ENDPOINT to a mirror',
    );
  }
  const remote = await listModel(endpoint(), { id, revision: commit }, token);
  const folder = snapshot(commit);
  const blobOf = (path: string) => {
    const { sha256, gitSha1 } = remote.get(path)!;
    return join(store, 'blobs', sha256 ?? gitSha1 ?? `${commit}-${path}`);
  };
  await fetchPolicyFiles(
    `${id}@${revision}`,
    progress,
    {
      available: [...remote.keys()],
      folder: new DiskFolder(folder),
      has: (path) => exists(blobOf(path)),
      async fetch(path, onBytes) {
        const blob = blobOf(path);
        if (!(await exists(blob))) {
          await downloadFile(remote.get(path)!, blob, `${blob}.incomplete`, headers, onBytes);
        }
        await link(blob, join(folder, path));
      },
      sizeOf: (path) => remote.get(path)!.size,
    },
    wanted,
  );
  if (!COMMIT.test(revision)) {
    await makeFolder(dirname(ref));
    await writeFile(ref, commit);
  }
  return new DiskFolder(folder);
}

/** The commit that a revision names now. */
async function commitOf(id: string, revision: string, headers: Record<string, string>): Promise<string> {
  const url = `${endpoint()}/${id}/resolve/${encodeURIComponent(revision)}/config.json`;
  let response = await ask(url, { method: 'HEAD', headers });
  // A file that lies elsewhere is sent from a server that knows no commits: the hub says it before it sends there.
  if (response.ok && !response.headers.has('X-Repo-Commit')) {
    response = await ask(url, { method: 'HEAD', headers, redirect: 'manual' });
  }
  const commit = response.headers.get('X-Repo-Commit');
  if (response.status < 400 && commit !== null && COMMIT.test(commit)) return commit;
  const code = response.headers.get('X-Error-Code') ?? '';
  if (response.status === 401 || response.status === 403) {
    throw new UserError(
      `${id}: no such folder, and ${endpoint()} answered ${reasonOf(response)}; give a token in HF_TOKEN`,
    );
  }
  const reasons: Record<string, string> = {
    RevisionNotFound: `has no revision ${revision} of it`,
    EntryNotFound: 'has no config.json in it',
  };
  const reason = reasons[code] ?? `has no such model (${response.status})`;
  throw new UserError(
    `${id}: no such folder, and ${endpoint()} ${reason}; expected a folder, org/name or a URL`,
  );
}

/** Whether a snapshot has all that is wanted. */
async function isWhole(path: string, wanted: Wanted): Promise<boolean> {
  const folder = new DiskFolder(path);
  const needs = ['config.json', 'tokenizer.json'];
  for (const file of needs) if (!(await folder.exists(file))) return false;
  if (wanted === 'settings' || (await folder.exists(WEIGHTS))) return true;
  if (!(await folder.exists(WEIGHTS_INDEX))) return false;
  const { weight_map: map } = JSON.parse(await folder.readText(WEIGHTS_INDEX));
  for (const file of new Set(Object.values<string>(map ?? {})))
    if (!(await folder.exists(file))) return false;
  return true;
}

/** A link as Hugging Face's libraries make it; a copy where the system has none. */
async function link(blob: string, path: string): Promise<void> {
  if (await exists(path)) return;
  await makeFolder(dirname(path));
  await rm(path, { force: true });
  try {
    await symlink(relative(dirname(path), blob), path);
  } catch {
    await copyFile(blob, path);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch {
    return undefined;
  }
}
