import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { dualign } from '../cli/command.ts';
import { hasShared, SHARED } from '../support/shared.ts';
import { alignInChromium, common, hashesOf } from './support/align_page.ts';
import { chromiumPath } from './support/browser.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-page-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.skipIf(!hasShared || !chromiumPath)(
  'a whole run in Chromium, on a page and in a worker with threads, gives the files of the command',
  async () => {
    const prompts = join(folder, 'prompts.jsonl');
    const lines = readFileSync(`${SHARED}/data/story-prompts.jsonl`, 'utf8').split('\n');
    writeFileSync(prompts, lines.slice(0, 6).join('\n'));
    const { onPage, inWorker } = await alignInChromium(folder, {
      eval_fraction: 0.34,
      limits: [{ kind: 'margin', value: 0.05 }],
      beta: 1,
      responses: 6,
      max_new_tokens: 10,
      num_train_epochs: 2,
      per_device_train_batch_size: 15,
      lora_r: 2,
    });

    const out = join(folder, 'run');
    const { code, stderr } = await dualign('node', [
      ...['--policy', `${SHARED}/models/stories260K`, '--prompts', prompts, '--eval-fraction', '0.34'],
      ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
      ...['--margin', '0.05', '--beta', '1', '--responses', '6', '--max-new-tokens', '10'],
      ...['--num-train-epochs', '2', '--per-device-train-batch-size', '15', '--lora-r', '2'],
      ...['--device', 'cpu', '--threads', '2', '--quiet', '--out', out],
    ]);
    expect(code, stderr).toBe(0);
    const onDisk = common(await hashesOf(out));
    expect(Object.keys(onDisk)).toContain('adapter/adapter_model.safetensors');
    expect(common(onPage)).toEqual(onDisk);
    expect(common(inWorker)).toEqual(onDisk);
  },
);
