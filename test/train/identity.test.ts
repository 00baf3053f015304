/** The same training twice, and on every host: the same bits. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumPath, withPage } from '../hosts/support/browser.ts';
import { buildSite } from '../hosts/support/site.ts';
import { engines } from '../model/engines.ts';
import { ROOT } from '../support/shared.ts';
import { trainingDigests } from './digests.ts';

interface Digests {
  readonly cpu: Readonly<Record<string, string>>;
  readonly driver?: string;
  readonly webgpu?: Readonly<Record<string, string>>;
}

const deno = join(ROOT, 'node_modules/.bin/deno');
const site = mkdtempSync(join(tmpdir(), 'dualign-identity-'));
afterAll(() => rmSync(site, { recursive: true, force: true }));

describe('every way of training gives the same bits', () => {
  const expected: Partial<Record<string, Record<string, string>>> = {};
  let driver: string | undefined;

  beforeAll(async () => {
    for (const { name, open } of engines.filter(({ name }) => name !== 'reference')) {
      const engine = await open();
      expected[name] = await trainingDigests(engine);
      if (name === 'WebGPU') driver = engine.info.description;
      engine.destroy();
    }
    expect(new Set(Object.values(expected.CPU!)).size).toBe(7);
  });

  function expectSame(other: Digests): void {
    expect(other.cpu).toEqual(expected.CPU);
    const software = [driver, other.driver].every((name) => name && /swiftshader/i.test(name));
    if (software) expect(other.webgpu).toEqual(expected.WebGPU);
  }

  it('twice on one device', async () => {
    for (const { name, open } of engines.filter(({ name }) => name !== 'reference')) {
      const engine = await open();
      expect(await trainingDigests(engine)).toEqual(expected[name]);
      engine.destroy();
    }
  });

  it.skipIf(!existsSync(deno))('in Deno', async () => {
    const script = join(ROOT, 'test/train/identity.ts');
    const { stdout } = await promisify(execFile)(deno, ['run', '-A', script], { timeout: 120_000 });
    expectSame(JSON.parse(stdout));
  });

  it.skipIf(!chromiumPath)('in Chromium', async () => {
    await buildSite(site, { page: 'test/train/identity.ts' }, { external: ['node:*', 'webgpu'] });
    const result = await withPage({ '/': site }, async (page) => {
      await page.waitForFunction('"result" in globalThis', undefined, { timeout: 120_000 });
      return (await page.evaluate('globalThis.result')) as Digests;
    });
    expectSame(result);
    if (driver && /swiftshader/i.test(driver)) expect(result.driver).toMatch(/swiftshader/i);
  });
});
