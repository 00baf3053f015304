import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DiskFolder } from '../../src/host/disk.ts';
import { cpuDigests } from '../engine/cpu_digests.ts';
import { OPERATIONS } from '../engine/operations.ts';
import { hasShared, ROOT, SHARED } from '../support/shared.ts';
import { BROWSERS, withPage } from './support/browser.ts';
import { buildSite } from './support/site.ts';

const model = hasShared ? `${SHARED}/models/stories260K` : undefined;
const deno = join(ROOT, 'node_modules/.bin/deno');
const site = mkdtempSync(join(tmpdir(), 'dualign-cpu-'));
afterAll(() => rmSync(site, { recursive: true, force: true }));

describe('the CPU engine gives the same bits', () => {
  let expected: string[];

  beforeAll(async () => {
    expected = await cpuDigests(1, model ? new DiskFolder(model) : undefined);
    expect(expected.length).toBe(OPERATIONS.length + (model ? 3 : 0));
  });

  it.each([2, 3, 6])('with %i threads', async (threads) => {
    expect(await cpuDigests(threads, model ? new DiskFolder(model) : undefined)).toEqual(expected);
  });

  it.skipIf(!existsSync(deno)).each(['1', '2'])('in Deno, with %s threads', async (threads) => {
    const script = join(ROOT, 'test/engine/cpu_identity.ts');
    const args = ['run', '-A', script, threads, ...(model ? [model] : [])];
    const { stdout } = await promisify(execFile)(deno, args, { timeout: 60_000 });
    expect(stdout.trim().split('\n')).toEqual(expected);
  });

  describe.each(BROWSERS)('in $title', ({ browser, path, retry }) => {
    it.skipIf(!path).each([
      ['isolated', 2],
      ['open to other origins, which shares no memory', 1],
    ])('on a page that is %s: with 1 thread, and in a worker with %i', { retry }, async (kind, threads) => {
      await buildSite(site, { page: 'test/hosts/cpu_in_browser.ts' });
      const result = await withPage(
        { '/': site, ...(model ? { '/model': model } : {}) },
        async (page) => {
          await page.waitForFunction('"result" in globalThis');
          return await page.evaluate('globalThis.result');
        },
        { isolated: kind === 'isolated', browser },
      );
      expect(result).toEqual({
        onPage: { threads: 1, digests: expected },
        inWorker: { threads, digests: expected },
      });
    });
  });
});
