import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, expect, it } from 'vitest';
import { sha256 } from '../../src/data/hash.ts';
import { dualign } from '../cli/command.ts';
import { hasShared, ROOT, SHARED } from '../support/shared.ts';
import { chromiumPath, withPage } from './support/browser.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-page-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** These name the host and the paths of a run. */
const OWN = ['manifest.json', 'report.html', 'adapter/adapter_config.json'];

async function hashes(out: string): Promise<Record<string, string>> {
  const entries = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const files = entries.map((entry) => join(entry.parentPath, entry.name).slice(out.length + 1));
  const pairs = files.map(async (file) => [file, await sha256(readFileSync(join(out, file)))] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

function common(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([file]) => !OWN.includes(file)));
}

it.skipIf(!hasShared || !chromiumPath)(
  'a whole run on a page of Chromium gives the files of the command',
  async () => {
    const site = join(folder, 'prompts.jsonl');
    const lines = readFileSync(`${SHARED}/data/story-prompts.jsonl`, 'utf8').split('\n');
    writeFileSync(site, lines.slice(0, 6).join('\n'));
    const settings = {
      policy: '/stories260K',
      reward: '/stories-reward',
      prompts: '/prompts.jsonl',
      eval_fraction: 0.34,
      constraints: [{ scorer: '/stories-cost', cost: true }],
      limits: [{ kind: 'margin', value: 0.05 }],
      beta: 1,
      responses: 6,
      max_new_tokens: 10,
      num_train_epochs: 2,
      per_device_train_batch_size: 15,
      lora_r: 2,
      device: 'cpu',
    };
    writeFileSync(join(folder, 'settings.json'), JSON.stringify(settings));
    await build({
      absWorkingDir: ROOT,
      entryPoints: ['test/hosts/align_in_browser.ts'],
      bundle: true,
      format: 'esm',
      platform: 'browser',
      outfile: join(folder, 'page.js'),
      logLevel: 'error',
    });
    const wasm = 'ort-wasm-simd-threaded.wasm';
    copyFileSync(join(ROOT, 'node_modules/onnxruntime-web/dist', wasm), join(folder, wasm));
    writeFileSync(join(folder, 'index.html'), '<!doctype html><script type="module" src="page.js"></script>');
    const models = ['stories260K', 'stories-reward', 'stories-cost'];
    const mounts = Object.fromEntries(models.map((name) => [`/${name}`, `${SHARED}/models/${name}`]));
    const onPage = await withPage({ '/': folder, ...mounts }, async (page) => {
      await page.waitForFunction('"result" in globalThis');
      return (await page.evaluate('globalThis.result')) as Record<string, string>;
    });

    const out = join(folder, 'run');
    const { code, stderr } = await dualign('node', [
      ...['--policy', `${SHARED}/models/stories260K`, '--prompts', site, '--eval-fraction', '0.34'],
      ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
      ...['--margin', '0.05', '--beta', '1', '--responses', '6', '--max-new-tokens', '10'],
      ...['--num-train-epochs', '2', '--per-device-train-batch-size', '15', '--lora-r', '2'],
      ...['--device', 'cpu', '--threads', '2', '--quiet', '--out', out],
    ]);
    expect(code, stderr).toBe(0);
    const onDisk = await hashes(out);
    expect(Object.keys(onDisk)).toContain('adapter/adapter_model.safetensors');
    expect(common(onPage)).toEqual(common(onDisk));
  },
);
