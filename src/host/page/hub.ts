import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { messageOf, UserError } from '../../errors.ts';
import { type FetchProgress, fetchPolicyFiles } from '../fetched.ts';
import { listModel, parseHubName, type RemoteFile, reasonOf } from '../hub_model.ts';
import { PageFolder } from '../page_storage.ts';
import { expectAnswer, partsOf, persist } from '../transfers.ts';
import { safeName } from './import.ts';
import { MODELS } from './places.ts';
import { needStorage } from './storage.ts';

export const HUB = 'https://huggingface.co';

export interface HubOptions {
  /** Of the public hub if left out. */
  readonly endpoint?: string;
  readonly token?: string;
}

const PIECE = 1 << 24;
const GATHERED = 1 << 22;

/**
 * Fetches a hub's model, `org/name` or `org/name@revision`, into the storage of the origin, and returns its folder. What
 * is there already and has the hub's checksum is kept; a transfer that was cut goes on where it was.
 */
export async function fetchPageModel(
  name: string,
  progress: FetchProgress,
  { endpoint = HUB, token }: HubOptions = {},
): Promise<string> {
  const model = parseHubName(name.trim());
  if (!model) throw new UserError(`${name}: expected the name of a model as org/name or org/name@revision`);
  const remote = await listModel(endpoint.replace(/\/+$/, ''), model, token || undefined);
  const path = `${MODELS}/${safeName(name.trim())}`;
  const folder = new PageFolder(path);
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
  const has = async (file: string) =>
    (await folder.exists(file)) && (await checksum(folder, file, remote.get(file)!)) === undefined;
  const whole = new Map<string, Promise<boolean>>();
  const known = (file: string) => {
    const found = whole.get(file) ?? has(file);
    whole.set(file, found);
    return found;
  };
  let total = 0;
  for (const { size } of remote.values()) total += size;
  await needStorage(total, name);
  await fetchPolicyFiles(name, progress, {
    available: [...remote.keys()],
    folder,
    sizeOf: (file) => remote.get(file)!.size,
    has: known,
    async fetch(file, onBytes) {
      if (!(await known(file))) await download(remote.get(file)!, folder, file, headers, onBytes);
    },
  });
  return path;
}

async function download(
  file: RemoteFile,
  folder: PageFolder,
  path: string,
  headers: Readonly<Record<string, string>>,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const partial = `${path}.incomplete`;
  let done = (await folder.exists(partial)) ? await folder.size(partial) : 0;
  if (done > file.size) {
    await folder.remove(partial);
    done = 0;
  }
  onBytes(done);
  const there = async () => ((await folder.exists(partial)) ? await folder.size(partial) : 0);
  const goOn = async () => {
    const now = await transfer(file, folder, partial, await there(), headers, onBytes);
    if (now < file.size) throw new Error('the connection gave no more bytes');
  };
  try {
    if (done < file.size) await persist(goOn, there);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `${file.name}: the download broke off at ${await there()} of ${file.size} bytes (${messageOf(error)}); try again to go on from there`,
    );
  }
  if (file.size === 0) await folder.write(partial, '');
  const damage = await checksum(folder, partial, file);
  if (damage) {
    await folder.remove(partial);
    throw new UserError(`${file.name}: the download is damaged (${damage}); start again to fetch it anew`);
  }
  await folder.rename(partial, path);
}

async function transfer(
  file: RemoteFile,
  folder: PageFolder,
  partial: string,
  begin: number,
  headers: Readonly<Record<string, string>>,
  onBytes: (bytes: number) => void,
): Promise<number> {
  const range: Record<string, string> = begin > 0 ? { Range: `bytes=${begin}-` } : {};
  const response = await fetch(file.url, { headers: { ...headers, ...range } });
  expectAnswer(response);
  if (!response.ok) throw new UserError(`${file.name}: the server answered ${reasonOf(response)}`);
  let done = begin;
  // A server without ranges sends the whole file.
  if (begin > 0 && response.status !== 206) {
    await folder.remove(partial);
    onBytes(-begin);
    done = 0;
  }
  for await (const part of gathered(partsOf(response))) {
    await folder.appendBytes(partial, part);
    done += part.length;
    onBytes(part.length);
  }
  return done;
}

/** Parts put together to some megabytes: each time that a page's storage is written to has its price. */
async function* gathered(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(GATHERED);
  let held = 0;
  try {
    for await (let part of parts) {
      while (part.length > 0) {
        const taken = part.subarray(0, GATHERED - held);
        buffer.set(taken, held);
        held += taken.length;
        part = part.subarray(taken.length);
        if (held < GATHERED) continue;
        yield buffer;
        held = 0;
      }
    }
  } catch (error) {
    // What came before a break is kept.
    if (held > 0) yield buffer.subarray(0, held);
    throw error;
  }
  if (held > 0) yield buffer.subarray(0, held);
}

/** What is wrong with a file's content; undefined where it is what the server named. */
async function checksum(folder: PageFolder, path: string, file: RemoteFile): Promise<string | undefined> {
  const size = await folder.size(path);
  if (size !== file.size) return `${size} bytes, the server named ${file.size}`;
  const expected = file.sha256 ?? file.gitSha1;
  if (expected === undefined) return undefined;
  const hash = file.sha256 ? sha256.create() : sha1.create().update(utf8ToBytes(`blob ${size}\0`));
  for (let at = 0; at < size; at += PIECE) {
    hash.update(await folder.readRange(path, at, Math.min(size, at + PIECE)));
  }
  const found = bytesToHex(hash.digest());
  return found === expected ? undefined : `its checksum is ${found}, the server named ${expected}`;
}
