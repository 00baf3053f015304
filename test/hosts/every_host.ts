/**
 * Whole alignments on every host, with 1 and 2 threads, and killed and gone on with: are the files the same, bit for bit?
 * Runs of the stories need the shared models. Needs a build (`node build.mjs`).
 *
 *     node test/hosts/every_host.ts [--runs stories-mocan,demo-pecan] [--device cpu] [--options='--responses 4'] [host …]
 *
 * A host is `deno`, `chromium`, `firefox` or a program of Node 22 or later; without any, this Node and the others where they
 * are.
 * Node before 23.6 runs the bundle, dist/dualign.mjs; the rest run align.ts. The stories' preferences for PeCAN are pairs
 * of the responses that a run of MoCAN draws, judged by its scorers. `--options` are the command's, and follow those of
 * each run. `--device webgpu` takes the driver that is there: on SwiftShader, which Chromium brings along, all hosts have the
 * same.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { SampleRow, ScoreRow } from '../../src/align/rows.ts';
import { ROOT, SHARED } from '../support/shared.ts';
import { withAlignPage } from './support/align_page.ts';
import { BROWSERS } from './support/browser.ts';
import { denoHost, type Hashes, type Host, hasDeno, nodeHost, runCommand } from './support/command_run.ts';

/** What a run is judged by; every other file that no host marks is compared too. */
const SHOWN = ['scores.jsonl', 'dual.json', 'pairs.jsonl', 'adapter/adapter_model.safetensors'];
/** Files on whose appearance a run is killed: while sampling or learning preferences, while training, while evaluating. */
const KILLS = {
  mocan: ['samples.jsonl.partial', 'checkpoint.safetensors', 'evaluation/aligned_samples.jsonl.partial'],
  pecan: ['prealigned/safe-1/checkpoint.safetensors', 'scores.jsonl.partial', 'checkpoint.safetensors'],
} as const;
const PAIRS_PER_PROMPT = 2;

const folder = mkdtempSync(join(tmpdir(), 'dualign-hosts-'));
const preferences = join(folder, 'preferences.jsonl');

const stories = [
  ...['--policy', `${SHARED}/models/stories260K`, '--prompts', `${SHARED}/data/story-prompts.jsonl`],
  ...['--beta', '1', '--responses', '16', '--max-new-tokens', '64', '--save-steps', '5'],
];
const inDemo = (file: string) => join(ROOT, 'models/demo', file);
/** As `npm start` has them. */
const demo = [
  ...['--policy', inDemo('policy'), '--prompts', inDemo('prompts.jsonl'), '--beta', '1', '--save-steps', '2'],
  ...['--measure', inDemo('truth.ts#help'), '--measure-cost', inDemo('truth.ts#hazard')],
  ...['--baselines', 'helpful,safe'],
];
/** Each run's options, by its name: what is aligned, and how. */
const RUNS: Readonly<Record<string, readonly string[]>> = {
  'stories-mocan': [
    ...[...stories, '--margin', '0.25'],
    ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
  ],
  'stories-pecan': [...stories, '--margin', '0.1', '--helpful', preferences, '--safe', preferences],
  'demo-mocan': [
    ...[...demo, '--reward', inDemo('reward'), '--cost', inDemo('cost'), '--margin', '0.2'],
    ...['--responses', '12', '--num-train-epochs', '3', '--learning-rate', '0.0025'],
    ...['--per-device-train-batch-size', '132'],
  ],
  'demo-pecan': [
    ...[...demo, '--helpful', inDemo('helpful.jsonl'), '--safe', inDemo('safe.jsonl'), '--margin', '1'],
    ...['--responses', '8', '--num-train-epochs', '2', '--learning-rate', '0.003'],
    ...['--per-device-train-batch-size', '56'],
  ],
};

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: Object.keys(RUNS).join(',') },
    device: { type: 'string', default: 'cpu' },
    options: { type: 'string', default: '' },
  },
});
const names = given.runs.split(',');
const device = given.device === 'webgpu' ? 'webgpu' : 'cpu';
if (given.device !== device) throw new Error(`expected --device cpu or webgpu, got ${given.device}`);
for (const name of names) {
  if (!RUNS[name]) throw new Error(`expected --runs of ${Object.keys(RUNS).join(', ')}, got ${name}`);
}

/** Of an option that is given twice, the last counts. */
function optionsOf(name: string): readonly string[] {
  return [...RUNS[name], ...given.options.split(' ').filter((option) => option !== '')];
}

let folders = 0;

async function runOn(
  host: Host,
  name: string,
  threads: number,
  kills: readonly string[] = [],
): Promise<Hashes> {
  const out = join(folder, `run${folders++}`);
  const hashes = await runCommand(host, { options: optionsOf(name), device, threads, out, kills });
  if (name === 'stories-mocan' && !existsSync(preferences)) writePreferences(out);
  rmSync(out, { recursive: true });
  return hashes;
}

/** Pairs of each prompt's first responses, with what the scores say of them. */
function writePreferences(out: string): void {
  const rowsOf = <T>(file: string) =>
    readFileSync(join(out, file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as T);
  const scores = rowsOf<ScoreRow>('scores.jsonl');
  const byPrompt = new Map<string, (SampleRow & ScoreRow)[]>();
  for (const [i, row] of rowsOf<SampleRow>('samples.jsonl').entries()) {
    const key = JSON.stringify(row.prompt);
    byPrompt.set(key, [...(byPrompt.get(key) ?? []), { ...row, ...scores[i] }]);
  }
  const rows = [...byPrompt.values()].flatMap((responses) =>
    Array.from({ length: PAIRS_PER_PROMPT }, (_, pair) => {
      const [a, b] = responses.slice(2 * pair);
      return {
        prompt: a.prompt,
        response_0: a.response,
        response_1: b.response,
        better_response_id: Number(b.reward > a.reward),
        safer_response_id: Number(b.safety[0] > a.safety[0]),
      };
    }),
  );
  writeFileSync(preferences, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

let differing = 0;

/** Compares a run with the first of its name, as each is made. */
class Comparison {
  readonly name: string;
  expected: Hashes | undefined;

  constructor(name: string) {
    this.name = name;
  }

  async add(where: string, make: () => Promise<Hashes>): Promise<void> {
    const started = performance.now();
    const hashes = await make();
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    this.expected ??= hashes;
    const files = [...new Set([...Object.keys(this.expected), ...Object.keys(hashes)])];
    const wrong = files.filter((file) => this.expected?.[file] !== hashes[file]);
    if (wrong.length > 0) differing++;
    const verdict = wrong.length === 0 ? `${files.length} files the same` : `DIFFERS in ${wrong.join(', ')}`;
    console.log(`${this.name} ${where.padEnd(48)} ${verdict}, ${seconds} s`);
  }
}

function killsOf(name: string): readonly string[] {
  return name.endsWith('pecan') ? KILLS.pecan : KILLS.mocan;
}

async function onBrowser(
  name: string,
  { title, browser }: (typeof BROWSERS)[number],
  comparison: Comparison,
): Promise<void> {
  const [options, kills] = [optionsOf(name), killsOf(name)];
  await withAlignPage(browser, folder, async (align) => {
    await comparison.add(`${title}, page, 1 thread`, () => align({ options, device, where: 'page' }));
    await comparison.add(`${title}, worker, 2 threads`, () => align({ options, device, where: 'worker' }));
    await comparison.add(`${title}, page, left ${kills.length} times`, () =>
      align({ options, device, where: 'page', kills }),
    );
    await comparison.add(`${title}, worker, ended ${kills.length} times`, () =>
      align({ options, device, where: 'worker', kills }),
    );
  });
}

async function onHost(name: string, host: Host, comparison: Comparison): Promise<void> {
  const kills = killsOf(name);
  await comparison.add(`${host.name}, 1 thread`, () => runOn(host, name, 1));
  await comparison.add(`${host.name}, 2 threads`, () => runOn(host, name, 2));
  await comparison.add(`${host.name}, killed ${kills.length} times`, () => runOn(host, name, 2, kills));
}

const browsers = BROWSERS.filter(({ path, browser }) => path && (device === 'cpu' || browser === 'chromium'));
const here = [process.execPath, ...(hasDeno ? ['deno'] : []), ...browsers.map(({ browser }) => browser)];
const hosts = positionals.length > 0 ? positionals : here;
try {
  for (const name of names) {
    if (name === 'stories-pecan' && !existsSync(preferences)) await runOn(nodeHost(), 'stories-mocan', 2);
    const comparison = new Comparison(name);
    for (const host of hosts) {
      const found = BROWSERS.find(({ browser }) => browser === host);
      if (found) await onBrowser(name, found, comparison);
      else await onHost(name, host === 'deno' ? denoHost() : nodeHost(host), comparison);
    }
    for (const file of SHOWN) console.log(`${comparison.expected?.[file]}  ${name}: ${file}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = differing > 0 ? 1 : 0;
