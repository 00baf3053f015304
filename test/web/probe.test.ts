/** What was found about a device is found again when a page comes back, in a real Chromium. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { chromiumPath, withPage } from '../hosts/support/browser.ts';
import { buildSite } from '../hosts/support/site.ts';

test.skipIf(!chromiumPath)('a page remembers the fastest products of a device', async () => {
  const site = mkdtempSync(join(tmpdir(), 'dualign-probe-'));
  try {
    await buildSite(site, { page: 'test/web/support/probe_page.ts' });
    await withPage({ '/': site }, async (page) => {
      const recall = async (key: string) => {
        await page.waitForFunction('globalThis.recall');
        return await page.evaluate(`recall('${key}')`);
      };
      expect(await recall('1.0, a GPU')).toBeUndefined();
      await page.evaluate("remember('1.0, a GPU', 'shared')");
      await page.reload();
      expect(await recall('1.0, a GPU')).toBe('shared');
      expect(await recall('1.1, a GPU')).toBeUndefined();
      await page.evaluate("remember('1.0, a GPU', 'subgroup')");
      expect(await recall('1.0, a GPU')).toBe('subgroup');
    });
  } finally {
    rmSync(site, { recursive: true, force: true });
  }
});
