import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, UserError } from '../errors.ts';
import type { RemoteFile } from './hub_model.ts';

/** Times that a transfer goes on after the connection broke. */
const ATTEMPTS = 4;
/** Waited before the second attempt; twice as long before the third, and so on. */
const PAUSE_MS = 100;

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
  await mkdir(dirname(target), { recursive: true });
  await mkdir(dirname(partial), { recursive: true });
  let done = await sizeOf(partial);
  if (done > file.size) {
    await rm(partial);
    done = 0;
  }
  onBytes(done);
  // An empty file is fetched too.
  for (let attempt = 1; done < file.size || done === 0; attempt++) {
    try {
      const before = done;
      done = await transfer(file, partial, done, headers, onBytes);
      if (file.size === 0) break;
      if (done === before) throw new Error('the connection gave no more bytes');
    } catch (error) {
      if (error instanceof UserError) throw error;
      done = await sizeOf(partial);
      if (attempt >= ATTEMPTS) {
        throw new UserError(
          `${file.name}: the download broke off at ${done} of ${file.size} bytes (${messageOf(error)}); ` +
            'the same command goes on from there',
          1,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, attempt * PAUSE_MS));
    }
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
  if (response.status >= 500) throw new Error(`the server answered ${response.status}`);
  if (!response.ok) {
    throw new UserError(`${file.name}: the server answered ${response.status} ${response.statusText}`);
  }
  // A server without ranges sends the whole file.
  const goesOn = done > 0 && response.status === 206;
  if (done > 0 && !goesOn) onBytes(-done);
  const handle = await open(partial, goesOn ? 'a' : 'w');
  let written = goesOn ? done : 0;
  try {
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      await handle.write(part.value);
      written += part.value.length;
      onBytes(part.value.length);
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
