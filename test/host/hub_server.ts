/** A model hub on localhost, with the URL layout and headers of Hugging Face's. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const gitSha1 = (bytes: Uint8Array) =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

export interface HubServer {
  readonly url: string;
  /** Method, path and range of each request. */
  readonly requests: string[];
  /** Files of the model, which the server names the checksums of. */
  readonly files: Map<string, Uint8Array>;
  commit: string;
  /** A token that is asked for. */
  token: string | undefined;
  /** Path of a file, how many bytes of an answer with it to send before the connection breaks, and from where on none is sent. */
  breakAfter: { path: string; bytes: number; times: number; never?: number } | undefined;
  /** Answers that come in place of the next requests for a path that contains `path`. */
  answers: { path: string; status: number; headers?: Record<string, string> }[];
  /** Path of a file that is sent with one byte changed. */
  corrupt: string | undefined;
  /** Whether ranges are served. */
  ranges: boolean;
  close(): Promise<void>;
}

/** Serves the model `org/tiny` at revision main. Large files are sent from another server, as by a CDN, small ones
 * from another path. */
export async function startHub(files: ReadonlyMap<string, Uint8Array>): Promise<HubServer> {
  const server = createServer((request, response) => answer(hub, request, response));
  const hub: HubServer = {
    url: '',
    requests: [],
    files: new Map(files),
    commit: 'a'.repeat(40),
    token: undefined,
    breakAfter: undefined,
    answers: [],
    corrupt: undefined,
    ranges: true,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  Object.assign(hub, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  return hub;
}

function isLarge(path: string): boolean {
  return path.endsWith('.safetensors');
}

function answer(hub: HubServer, request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url!, hub.url);
  const range = request.headers.range;
  // As the hub does, for pages of other origins.
  response.setHeader('Access-Control-Allow-Origin', '*');
  response.setHeader('Access-Control-Allow-Headers', 'Authorization, Range');
  if (request.method === 'OPTIONS') {
    response.writeHead(204).end();
    return;
  }
  hub.requests.push(`${request.method} ${pathname}${range ? ` ${range}` : ''}`);
  const refuse = (status: number, code: string) => {
    response.writeHead(status, { 'X-Error-Code': code, 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ error: code }));
  };
  const [given] = hub.answers;
  if (given && pathname.includes(given.path)) {
    hub.answers.shift();
    response.writeHead(given.status, given.headers).end();
    return;
  }
  const cdn = /^\/cdn\/(.+)$/.exec(pathname);
  if (cdn) {
    if (request.headers.authorization) hub.requests.push('the token, sent to another server');
    send(hub, cdn[1], request, response);
    return;
  }
  if (hub.token !== undefined && request.headers.authorization !== `Bearer ${hub.token}`) {
    refuse(401, 'RepoNotFound');
    return;
  }
  const small = /^\/api\/resolve-cache\/models\/org\/tiny\/[^/]+\/(.+)$/.exec(pathname);
  if (small) {
    response.setHeader('X-Repo-Commit', hub.commit);
    response.setHeader('ETag', `"${gitSha1(hub.files.get(small[1])!)}"`);
    send(hub, small[1], request, response);
    return;
  }
  const tree = /^\/api\/models\/org\/tiny\/tree\/([^/]+)$/.exec(pathname);
  if (tree) {
    const entries = [...hub.files].map(([path, bytes]) => ({
      type: 'file',
      oid: gitSha1(isLarge(path) ? new TextEncoder().encode('pointer') : bytes),
      size: bytes.length,
      path,
      ...(isLarge(path) ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } } : {}),
    }));
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(entries));
    return;
  }
  const resolve = /^\/org\/tiny\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
  if (!resolve) {
    refuse(404, 'RepoNotFound');
    return;
  }
  const [, revision, path] = resolve;
  if (revision !== 'main' && revision !== hub.commit) {
    refuse(404, 'RevisionNotFound');
    return;
  }
  const bytes = hub.files.get(path);
  if (!bytes) {
    refuse(404, 'EntryNotFound');
    return;
  }
  if (!isLarge(path)) {
    response.writeHead(307, { Location: `/api/resolve-cache/models/org/tiny/${hub.commit}/${path}` });
    response.end();
    return;
  }
  response.writeHead(302, {
    Location: `${hub.url.replace('127.0.0.1', 'localhost')}/cdn/${path}`,
    'X-Repo-Commit': hub.commit,
    'X-Linked-Etag': `"${sha256(bytes)}"`,
    'X-Linked-Size': bytes.length,
  });
  response.end();
}

function send(hub: HubServer, path: string, request: IncomingMessage, response: ServerResponse): void {
  const bytes = hub.files.get(path)!.slice();
  if (path === hub.corrupt) bytes[bytes.length - 1] ^= 1;
  const [, first, last] = (hub.ranges && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')) || [];
  const from = Number(first ?? 0);
  const end = last ? Number(last) + 1 : bytes.length;
  if (first !== undefined) response.setHeader('Content-Range', `bytes ${from}-${end - 1}/${bytes.length}`);
  response.writeHead(first === undefined ? 200 : 206, { 'Content-Length': end - from });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const fault = hub.breakAfter;
  if (fault && fault.path === path && fault.times > 0) {
    fault.times--;
    // Time for what was sent to arrive.
    response.write(bytes.subarray(from, Math.min(from + fault.bytes, fault.never ?? Infinity)));
    setTimeout(() => response.destroy(), 250);
  } else response.end(bytes.subarray(from, end));
}
