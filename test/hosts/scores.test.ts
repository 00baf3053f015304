import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { execPath } from 'node:process';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { haveModels, models, repository, temporaryFolder } from '../score/support/folders.ts';
import { BROWSERS, withPage } from './support/browser.ts';
import { buildSite } from './support/site.ts';

const folders = ['stories-reward', 'stories-cost'].map((name) => join(models, name));

function printedBy(command: string, ...args: string[]): string[] {
  const script = join(repository, 'test/score/support/print_scores.ts');
  const output = execFileSync(command, [...args, script, ...folders], { cwd: repository, encoding: 'utf8' });
  return output.trim().split('\n');
}

describe.skipIf(!haveModels)('scores are the same to the last bit (needs ../shared/models)', () => {
  it('in Deno and Node', () => {
    const node = printedBy(execPath);
    expect(node.map((line) => line.length)).toEqual([60 * 16, 60 * 16]);
    expect(printedBy(join(repository, 'node_modules/.bin/deno'), 'run', '-A')).toEqual(node);
  });

  describe.each(BROWSERS)('in $title', ({ browser, path }) => {
    it.skipIf(!path)('as in Node', async () => {
      const site = temporaryFolder();
      await buildSite(site, { page: 'test/hosts/scores_in_browser.ts' }, { onnx: true });

      const mounts = { '/': site, '/stories-reward': folders[0]!, '/stories-cost': folders[1]! };
      const use = async (page: Page) => {
        await page.waitForFunction('"result" in globalThis');
        return await page.evaluate('globalThis.result');
      };
      expect(await withPage(mounts, use, { browser })).toEqual(printedBy(execPath));
    });
  });
});
