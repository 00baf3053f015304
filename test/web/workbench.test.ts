/** Whole runs through a page's workbench: paused, cancelled, gone on with, and talked with. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import type { ChatTurn } from '../../src/host/page/chat.ts';
import type { RunEvent, RunOutcome, RunRequest } from '../../src/host/page/events.ts';
import { dualign } from '../cli/command.ts';
import { chromiumPath, withPage } from '../hosts/support/browser.ts';
import { common, type Hashes, hashesOf } from '../hosts/support/command_run.ts';
import { buildSite } from '../hosts/support/site.ts';
import { ROOT } from '../support/shared.ts';

const DEMO = join(ROOT, 'models/demo');
/** In the names of config.json; the command's options have the same. */
const SETTINGS = {
  beta: 1,
  responses: 4,
  eval_fraction: 0.1,
  max_new_tokens: 24,
  num_train_epochs: 1,
  lora_r: 2,
  save_steps: 3,
  seed: 3,
} as const;

const request: RunRequest = {
  out: 'runs/test',
  threads: 2,
  config: {
    ...SETTINGS,
    policy: '/demo/policy',
    prompts: '/demo/prompts.jsonl',
    reward: '/demo/reward',
    constraints: [{ scorer: '/demo/cost', cost: true }],
    limits: [{ kind: 'margin', value: 0.1 }],
    device: 'cpu',
  },
};

async function withWorkbench(use: (page: Page) => Promise<void>): Promise<void> {
  const site = mkdtempSync(join(tmpdir(), 'dualign-workbench-'));
  await buildSite(
    site,
    { page: 'test/web/support/workbench_page.ts', worker: 'web/worker.ts' },
    { onnx: true },
  );
  try {
    await withPage({ '/': site, '/demo': DEMO }, use, { isolated: true });
  } finally {
    rmSync(site, { recursive: true, force: true });
  }
}

const align = (page: Page, settings: RunRequest) =>
  page.evaluate(`align(${JSON.stringify(settings)})`) as Promise<RunOutcome>;
const eventsOf = (page: Page) => page.evaluate('events') as Promise<RunEvent[]>;

test.skipIf(!chromiumPath)(
  'a run that is paused, cancelled and gone on with gives what the command gives',
  async () => {
    const out = mkdtempSync(join(tmpdir(), 'dualign-command-'));
    const { code, stderr } = await dualign('node', [
      ...['--policy', join(DEMO, 'policy'), '--prompts', join(DEMO, 'prompts.jsonl')],
      ...['--reward', join(DEMO, 'reward'), '--cost', join(DEMO, 'cost'), '--margin', '0.1'],
      ...Object.entries(SETTINGS).flatMap(([name, value]) => [
        `--${name.replaceAll('_', '-')}`,
        String(value),
      ]),
      ...['--device', 'cpu', '--threads', '2', '--quiet', '--out', out],
    ]);
    expect(code, stderr).toBe(0);
    const expected = await hashesOf(out);
    rmSync(out, { recursive: true });

    await withWorkbench(async (page) => {
      const solved = await align(page, { ...request, until: 'dual' });
      expect(solved).toMatchObject({ finished: false, dual: { status: 'optimal' } });
      expect(await page.evaluate(`new PageFolder('runs/test').exists('pairs.jsonl')`)).toBe(false);

      // Paused at the first line of metrics, it stands still; what it has made so far is there.
      await page.evaluate(`globalThis.under = align(${JSON.stringify(request)}, 'metrics'); undefined`);
      await page.waitForFunction(`events.some(({ kind }) => kind === 'paused')`, undefined, {
        timeout: 60_000,
      });
      const before = (await eventsOf(page)).length;
      await page.waitForTimeout(300);
      expect((await eventsOf(page)).length).toBe(before);
      await page.evaluate('client.cancel()');
      expect(await page.evaluate('under')).toEqual({ error: 'Cancelled: cancelled' });
      const left = (await page.evaluate(`hashes('runs/test')`)) as Hashes;
      expect(Object.keys(left)).toContain('metrics.jsonl.partial');
      expect(Object.keys(left)).not.toContain('adapter/adapter_model.safetensors');

      // Without its settings, which the folder has.
      const outcome = await align(page, { out: request.out, threads: 2 });
      expect(outcome).toMatchObject({ finished: true });
      const events = await eventsOf(page);
      expect(events).toContainEqual({ kind: 'stage', name: 'score', state: 'kept', note: undefined });
      const told = events.flatMap((event) => (event.kind === 'metrics' ? event.rows : []));
      expect(told.length).toBeGreaterThan(0);
      expect(common((await page.evaluate(`hashes('runs/test')`)) as Hashes)).toEqual(expected);

      const chat = {
        config: request.config,
        adapter: 'runs/test/adapter',
        prompts: ['reference', 'aligned'].map((side) => ({
          side,
          prompt: 'Question: How do I clean the oven? Answer:',
        })),
        turn: 0,
      };
      const told2 = `(async () => {
      const heard = { reference: '', aligned: '' };
      const turns = await client.call((bench) => bench.chat(${JSON.stringify(chat)}, callback((side, text) => { heard[side] += text; })));
      return { heard, turns };
    })()`;
      const { heard, turns } = (await page.evaluate(told2)) as {
        heard: Record<string, string>;
        turns: ChatTurn[];
      };
      expect(turns.map(({ side }) => side)).toEqual(['reference', 'aligned']);
      for (const { side, text } of turns) expect(heard[side]).toBe(text);
      expect(turns[0].text.length).toBeGreaterThan(5);
    });
  },
);
