import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { env } from 'node:process';
import { chromium, type Page } from 'playwright-core';

const CANDIDATES = [env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Chromium's program, where there is one. */
export const chromiumPath = CANDIDATES.find((path) => path !== undefined && existsSync(path));
if (!chromiumPath) {
  console.warn(
    'Leaving out tests in Chromium: there is none. Install it, or point the variable CHROMIUM at it.',
  );
}

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.css': 'text/css',
};

const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

/**
 * Serves folders on localhost and gives `use` a Chromium page there; both are gone afterwards.
 * @param mounts folder on disk by its path on the server; "/" serves what no other does.
 * @param isolated whether the page may share memory with its workers.
 * @param args further ones of Chromium.
 */
export async function withPage<T>(
  mounts: Record<string, string>,
  use: (page: Page) => Promise<T>,
  isolated = false,
  args: readonly string[] = ['--enable-unsafe-webgpu'],
): Promise<T> {
  const server = createServer((request, response) => {
    const file = fileOf(new URL(request.url ?? '/', 'http://localhost').pathname, mounts);
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type, ...(isolated ? ISOLATION : {}) });
    response.end(request.method === 'HEAD' ? undefined : readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = await chromium.launch({
    executablePath: chromiumPath,
    args: [
      ...args,
      '--no-sandbox',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/index.html`);
    return await use(page);
  } finally {
    await browser.close();
    server.close();
  }
}

function fileOf(path: string, mounts: Record<string, string>): string | undefined {
  const mount = Object.keys(mounts).find((prefix) => prefix !== '/' && path.startsWith(`${prefix}/`)) ?? '/';
  const file = join(mounts[mount]!, path.slice(mount === '/' ? 0 : mount.length));
  return existsSync(file) && statSync(file).isFile() ? file : undefined;
}
