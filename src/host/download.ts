import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from '../errors.ts';
import { makeFolder, unwritable } from './disk.ts';
import { causeOf, type RemoteFile, reasonOf } from './hub_model.ts';
import { expectAnswer, partsOf, persist } from './transfers.ts';

/**
 * Fetches a file to `target`. What a broken transfer leaves stands in `partial`, from where the next one goes on by a
 * range request; `target` appears once the content is whole and has the checksum that the server named.
 */
export async function downloadFile(
  file: RemoteFile,
  target: string,
  partial: string,
  headers: Readonly<Record<string, string>>,
  onBytes: (bytes: number) => void,
): Promise<void> {
  for (const path of [target, partial]) {
    await makeFolder(dirname(path)).catch((error) => {
      throw unwritable(path, error);
    });
  }
  let done = await sizeOf(partial);
  if (done > file.size) {
    await rm(partial);
    done = 0;
  }
  onBytes(done);
  const goOn = async () => {
    done = await transfer(file, partial, await sizeOf(partial), headers, onBytes);
    if (done < file.size) throw new Error('the connection gave no more bytes');
  };
  try {
    // An empty file is fetched too.
    if (done < file.size || done === 0) await persist(goOn, () => sizeOf(partial));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `${file.name}: the download broke off at ${await sizeOf(partial)} of ${file.size} bytes (${causeOf(error)}); ` +
        'the same command goes on from there',
      1,
    );
  }
  await check(file, partial, done);
  await rename(partial, target);
}

/** Appends to `partial`, of which `done` bytes are there; returns how many are there then. */
async function transfer(
  file: RemoteFile,
  partial: string,
  done: number,
  headers: Readonly<Record<string, string>>,
  onBytes: (bytes: number) => void,
): Promise<number> {
  const range: Record<string, string> = done > 0 ? { Range: `bytes=${done}-` } : {};
  const response = await fetch(file.url, {
    headers: { 'Accept-Encoding': 'identity', ...headers, ...range },
  });
  expectAnswer(response);
  if (!response.ok) throw new UserError(`${file.name}: the server answered ${reasonOf(response)}`);
  // A server without ranges sends the whole file.
  const goesOn = done > 0 && response.status === 206;
  if (done > 0 && !goesOn) onBytes(-done);
  const handle = await open(partial, goesOn ? 'a' : 'w');
  let written = goesOn ? done : 0;
  try {
    for await (const part of partsOf(response)) {
      await handle.writeFile(part).catch((error) => {
        throw unwritable(partial, error);
      });
      written += part.length;
      onBytes(part.length);
    }
  } finally {
    await handle.close();
  }
  return written;
}

/** A file that is not what the server named is of no use: it is removed, so that the next try begins anew. */
async function check({ name, size, sha256, gitSha1 }: RemoteFile, path: string, done: number): Promise<void> {
  const fail = async (what: string): Promise<never> => {
    await rm(path, { force: true });
    throw new UserError(`${name}: the download is damaged (${what}); start again to fetch it anew`, 1);
  };
  if (done !== size) await fail(`${done} bytes, the server named ${size}`);
  const [kind, expected] = sha256 ? (['sha256', sha256] as const) : (['sha1', gitSha1] as const);
  if (expected === undefined) return;
  const hash = createHash(kind);
  if (!sha256) hash.update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  const found = hash.digest('hex');
  if (found !== expected) await fail(`its ${kind} is ${found}, the server named ${expected}`);
}

/** Bytes of a file; 0 when there is none. */
export async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return 0;
  }
}
