import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumPath } from '../hosts/support/browser.ts';
import {
  type BuiltExtension,
  buildExtension,
  expectNotice,
  importJudgements,
  judgementsFile,
  openBrowser,
  show,
} from './support/extension.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-full-'));
/** Where Chromium keeps the storage of origins. The rest of its profile it maps into memory, and dies where that is full. */
const storage = join(folder, 'Default/File System');

/** Whether the storage of origins got a disk of its own, so small that it can be filled: that takes root on Linux. */
function mountSmallDisk(): boolean {
  mkdirSync(storage, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', storage], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('Leaving out the test of a full disk: it takes root on Linux to make one.');
    return false;
  }
}

const isMounted = chromiumPath !== undefined && mountSmallDisk();

afterAll(() => {
  if (isMounted) execFileSync('umount', ['--lazy', storage]);
  rmSync(folder, { recursive: true, force: true });
});

/** Room for the entries of Chromium's own tables of files, without which it dies, and for no adapter. */
const ROOM = 1 << 17;

/** Takes all other room that the disk has, while Chromium goes on writing; returns what gives it back. */
function fillDisk(): () => void {
  const filling = join(storage, 'filling');
  const free = () => {
    const { bavail, bsize } = statfsSync(storage);
    return bavail * bsize;
  };
  for (const size of [1 << 20, 1 << 14]) {
    while (free() > ROOM + size) writeFileSync(filling, new Uint8Array(size), { flag: 'a' });
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
      await expectNotice(page, /^Added 8 by safety/);
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
      await page.getByRole('slider').waitFor({ timeout: 120_000 });
    } finally {
      await context.close();
    }
  });
});
