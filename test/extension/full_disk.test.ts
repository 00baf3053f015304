import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumPath } from '../hosts/support/browser.ts';
import {
  type BuiltExtension,
  buildExtension,
  importJudgements,
  judgementsFile,
  notice,
  openBrowser,
  show,
} from './support/extension.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-full-'));

/** Whether a disk of its own was put under the profile, so small that it can be filled: that takes root on Linux. */
function mountSmallDisk(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('Leaving out the test of a full disk: it takes root on Linux to make one.');
    return false;
  }
}

const isMounted = chromiumPath !== undefined && mountSmallDisk();

afterAll(() => {
  if (isMounted) execFileSync('umount', ['--lazy', folder]);
  rmSync(folder, { recursive: true, force: true });
});

/** Takes all room that the disk has; returns what gives it back. */
function fillDisk(): () => void {
  const filling = join(folder, 'filling');
  for (const size of [1 << 20, 1 << 12]) {
    try {
      for (;;) writeFileSync(filling, new Uint8Array(size), { flag: 'a' });
    } catch {
      // Full.
    }
  }
  return () => rmSync(filling);
}

describe.skipIf(!isMounted)('the extension on a full disk', () => {
  let extension: BuiltExtension;
  beforeAll(() => {
    extension = buildExtension();
  });
  afterAll(() => extension.remove());

  it('says so, loses nothing, and goes on when there is room', async () => {
    const { context, panel } = await openBrowser({ folder, extension });
    try {
      const page = await panel();
      await importJudgements(page, 'More helpful', judgementsFile('helpful', 8));
      await importJudgements(page, 'Safer', judgementsFile('safe', 8));
      expect(await notice(page)).toMatch(/^Added 8 by safety/);
      await show(page, 'Data');
      for (const label of ['Questions, at most', 'Answers to each']) {
        await page.getByLabel(label).fill('4');
        await page.getByLabel(label).press('Tab');
      }
      await show(page, 'Align');
      await page.getByRole('button', { name: 'Learn', exact: true }).click();
      await page.getByText('Learning what you find helpful').waitFor();
      const makeRoom = fillDisk();
      const failure = page.locator('.work .bad');
      await failure.waitFor();
      expect(await failure.textContent()).toMatch(/the browser's storage for this page is full/);
      makeRoom();
      await page.getByRole('button', { name: 'Go on' }).click();
      await page.getByRole('slider').waitFor({ timeout: 60_000 });
    } finally {
      await context.close();
    }
  });
});
