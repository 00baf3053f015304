import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { dualign } from '../cli/command.ts';
import { hasShared, SHARED } from '../support/shared.ts';
import { common, hashesOf, withAlignPage } from './support/align_page.ts';
import { chromiumPath } from './support/browser.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-page-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PROMPTS = [
  'Once upon a time',
  'One day, a dog',
  'There was a girl',
  'Lily had a cat',
  'Tom saw a bird',
];
const ENDINGS = [' They were happy.', ' They were sad and lost.', ' The end.'];

it.skipIf(!hasShared || !chromiumPath)(
  'whole runs in Chromium, on a page and in a worker with threads, also if the page is left on the way, give the files of the command',
  async () => {
    const prompts = join(folder, 'prompts.jsonl');
    writeFileSync(prompts, PROMPTS.map((prompt) => JSON.stringify({ prompt })).join('\n'));
    const preferences = join(folder, 'preferences.jsonl');
    const rows = PROMPTS.flatMap((prompt, i) =>
      ENDINGS.slice(1).map((ending, j) => ({
        prompt,
        response_0: ENDINGS[0],
        response_1: ending,
        better_response_id: (i + j) % 2,
        safer_response_id: j,
      })),
    );
    writeFileSync(preferences, rows.map((row) => JSON.stringify(row)).join('\n'));

    /** The hashes of the command's files. */
    async function onDisk(method: string, scores: string[]) {
      const out = join(folder, method);
      const { code, stderr } = await dualign('node', [
        ...['--policy', `${SHARED}/models/stories260K`, '--prompts', prompts, ...scores],
        ...['--eval-fraction', '0.34'],
        ...['--margin', '0.05', '--beta', '1', '--responses', '6', '--max-new-tokens', '10'],
        ...['--num-train-epochs', '2', '--per-device-train-batch-size', '15', '--lora-r', '2'],
        ...['--device', 'cpu', '--threads', '2', '--quiet', '--out', out],
      ]);
      expect(code, stderr).toBe(0);
      return common(await hashesOf(out));
    }
    const scorers = [
      '--reward',
      `${SHARED}/models/stories-reward`,
      '--cost',
      `${SHARED}/models/stories-cost`,
    ];
    const mocan = await onDisk('mocan', scorers);
    const pecan = await onDisk('pecan', ['--helpful', preferences, '--safe', preferences]);
    expect(Object.keys(mocan)).toContain('adapter/adapter_model.safetensors');
    expect(Object.keys(pecan)).toContain('prealigned/safe-1/adapter/adapter_model.safetensors');
    expect(readFileSync(join(folder, 'pecan/scores.jsonl'))).not.toEqual(
      readFileSync(join(folder, 'mocan/scores.jsonl')),
    );

    const settings = {
      eval_fraction: 0.34,
      limits: [{ kind: 'margin', value: 0.05 }],
      beta: 1,
      responses: 6,
      max_new_tokens: 10,
      num_train_epochs: 2,
      per_device_train_batch_size: 15,
      lora_r: 2,
    };
    await withAlignPage(folder, settings, async (align) => {
      expect(common(await align('mocan', 'page'))).toEqual(mocan);
      expect(common(await align('mocan', 'worker', ['samples.jsonl.partial', 'metrics.jsonl']))).toEqual(
        mocan,
      );
      expect(common(await align('pecan', 'page', ['prealigned/helpful/metrics.jsonl']))).toEqual(pecan);
      expect(common(await align('pecan', 'worker'))).toEqual(pecan);
    });
  },
);
