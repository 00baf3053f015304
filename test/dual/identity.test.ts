import { execFile, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { loadWasm } from '../../src/wasm.ts';
import { BROWSERS, withPage } from '../hosts/support/browser.ts';
import { buildSite } from '../hosts/support/site.ts';
import { answers, answersHash } from './answers.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = (name: string) => join(root, 'node_modules/.bin', name);
const run = promisify(execFile);

const expected = await answersHash(await loadWasm());

test('the answers hold solutions of each kind, and a changed score changes the hash', async () => {
  const kernels = await loadWasm();
  const { solved } = JSON.parse(answers(kernels));
  const statuses = new Set(solved.map((answer: { solution: { status: string } }) => answer.solution.status));
  expect([...statuses].sort()).toEqual(['infeasible', 'optimal']);
  const skewed = { ...kernels, exp: (x: number) => kernels.exp(x) * (1 + 2 ** -52) };
  expect(await answersHash(skewed)).not.toBe(expected);
});

test('Node gives the same bits in a fresh process', async () => {
  const { stdout } = await run(bin('node'), [join(root, 'test/dual/answers_main.ts')]);
  expect(stdout.trim()).toBe(expected);
});

test('Deno gives the same bits', async () => {
  const { stdout } = await run(bin('deno'), ['run', '-A', join(root, 'test/dual/answers_main.ts')], {
    cwd: root,
  });
  expect(stdout.trim()).toBe(expected);
});

describe.each(BROWSERS)('$title', ({ browser, path }) => {
  test.skipIf(!path)('gives the same bits (skipped where it is not installed)', async () => {
    const site = mkdtempSync(join(tmpdir(), 'dualign-page-'));
    try {
      await buildSite(site, { page: 'test/dual/answers_in_browser.ts' });
      const use = async (page: Page) => {
        await page.waitForFunction('"result" in globalThis');
        return await page.evaluate('globalThis.result');
      };
      expect(await withPage({ '/': site }, use, { browser })).toBe(expected);
    } finally {
      rmSync(site, { recursive: true });
    }
  });
});

test('workerd gives the same bits', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dualign-workerd-'));
  const port = await freePort();
  await build({
    entryPoints: [join(root, 'test/dual/answers_worker.ts')],
    outfile: join(folder, 'worker.js'),
    bundle: true,
    format: 'esm',
    external: ['dualign.wasm'],
    logLevel: 'warning',
  });
  copyFileSync(join(root, 'build/dualign.wasm'), join(folder, 'dualign.wasm'));
  writeFileSync(join(folder, 'config.capnp'), workerConfig(port));
  const server = spawn(bin('workerd'), ['serve', join(folder, 'config.capnp')], { stdio: 'inherit' });
  try {
    expect(await fetchText(`http://127.0.0.1:${port}/`)).toBe(expected);
  } finally {
    server.kill();
    rmSync(folder, { recursive: true });
  }
});

function workerConfig(port: number): string {
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [
      (name = "worker.js", esModule = embed "worker.js"),
      (name = "dualign.wasm", wasm = embed "dualign.wasm"),
    ],
    compatibilityDate = "2025-01-01",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** The response's text, once the server answers. */
async function fetchText(url: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await fetch(url);
      const text = await response.text();
      if (!response.ok) throw new Error(`${response.status}: ${text}`);
      return text;
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
