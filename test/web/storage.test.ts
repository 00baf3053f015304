/** The storage of an origin in a real Chromium, when there is no more of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { chromiumPath, withPage } from '../hosts/support/browser.ts';
import { buildSite } from '../hosts/support/site.ts';
import type { StoreOutcome } from './support/storage_page.ts';

test.skipIf(!chromiumPath)('a write that finds no room leaves what was there, and nothing else', async () => {
  const site = mkdtempSync(join(tmpdir(), 'dualign-storage-'));
  try {
    await buildSite(site, { page: 'test/web/support/storage_page.ts' });
    await withPage({ '/': site }, async (page) => {
      const store = async (how: 'write' | 'append', file: string, length: number) =>
        (await page.evaluate(`store('${how}', '${file}', ${length})`)) as StoreOutcome;
      await page.waitForFunction('globalThis.store');
      expect(await store('write', 'adapter/old', 10)).toEqual({ files: { 'adapter/old': 10 } });
      expect(await store('append', 'rows', 3)).toEqual({ files: { 'adapter/old': 10, rows: 3 } });
      expect(await store('append', 'rows', 4)).toEqual({ files: { 'adapter/old': 10, rows: 7 } });

      const session = await page.context().newCDPSession(page);
      const origin = new URL(page.url()).origin;
      await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 100_000 });
      const kept = { 'adapter/old': 10, rows: 7 };
      for (const [how, file] of [
        ['write', 'adapter/new'],
        ['write', 'adapter/old'],
        ['append', 'new rows'],
        ['append', 'rows'],
      ] as const) {
        const { error, files } = await store(how, file, 1_000_000);
        expect(error).toBe(
          `runs/test/${file}: the browser's storage for this page is full; free some, or allow the page more`,
        );
        expect(files).toEqual(kept);
      }

      await session.send('Storage.overrideQuotaForOrigin', { origin });
      expect(await store('write', 'adapter/new', 1_000_000)).toEqual({
        files: { ...kept, 'adapter/new': 1_000_000 },
      });
    });
  } finally {
    rmSync(site, { recursive: true, force: true });
  }
});
