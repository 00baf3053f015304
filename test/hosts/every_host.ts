/**
 * The stories' alignment on the CPU engine, from scores (MoCAN) and from preferences (PeCAN), on every host, with 1 and 2
 * threads, and killed and gone on with: are the files the same, bit for bit? Needs the shared models and a build
 * (`node build.mjs`).
 *
 *     node test/hosts/every_host.ts [--method mocan] [--responses 16] [--max-new-tokens 64] [host …]
 *
 * A host is `deno`, `chromium` or a program of Node 22 or later; without any, this Node and the other two where they are.
 * Node before 23.6 runs the bundle, dist/dualign.mjs; the rest run align.ts. PeCAN's preferences are pairs of the responses
 * that the first run of MoCAN draws, judged by its scorers.
 */
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { SampleRow, ScoreRow } from '../../src/align/rows.ts';
import { ROOT, SHARED } from '../support/shared.ts';
import { common, type Hashes, hashesOf, withAlignPage } from './support/align_page.ts';
import { chromiumPath } from './support/browser.ts';

const METHODS = ['mocan', 'pecan'] as const;
type Method = (typeof METHODS)[number];

/** What a run is judged by; every other file that no host marks is compared too. */
const SHOWN = ['scores.jsonl', 'dual.json', 'pairs.jsonl', 'adapter/adapter_model.safetensors'];
/** Files on whose appearance a run is killed: while sampling or learning preferences, while training, while evaluating. */
const KILLS: Readonly<Record<Method, readonly string[]>> = {
  mocan: ['samples.jsonl.partial', 'checkpoint.safetensors', 'evaluation/aligned_samples.jsonl.partial'],
  pecan: ['prealigned/safe-1/checkpoint.safetensors', 'scores.jsonl.partial', 'checkpoint.safetensors'],
};
const DENO = join(ROOT, 'node_modules/.bin/deno');
const POLICY = `${SHARED}/models/stories260K`;
const PROMPTS = `${SHARED}/data/story-prompts.jsonl`;
const MARGIN: Readonly<Record<Method, number>> = { mocan: 0.25, pecan: 0.1 };
/** So that there is a checkpoint to go on from. */
const SAVE_STEPS = 5;
const PAIRS_PER_PROMPT = 2;
/** Between two looks for a file. */
const LOOK_MS = 2;

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    method: { type: 'string' },
    responses: { type: 'string', default: '16' },
    'max-new-tokens': { type: 'string', default: '64' },
  },
});

interface Host {
  readonly name: string;
  readonly command: readonly string[];
}

function nodeHost(program: string): Host {
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim().slice(1);
  const [major, minor] = version.split('.').map(Number);
  const script = major > 23 || (major === 23 && minor >= 6) ? 'align.ts' : 'dist/dualign.mjs';
  return { name: `Node ${version}, ${script}`, command: [program, join(ROOT, script)] };
}

function denoHost(): Host {
  const [version] = execFileSync(DENO, ['--version'], { encoding: 'utf8' }).split('\n');
  const name = version.replace(/^deno (\S+).*/, 'Deno $1');
  return { name, command: [DENO, 'run', '-A', join(ROOT, 'align.ts')] };
}

const folder = mkdtempSync(join(tmpdir(), 'dualign-hosts-'));
const preferences = join(folder, 'preferences.jsonl');
let runs = 0;

/** Runs a program to its end, or kills it once `file` is there. */
async function execute([program, ...args]: readonly string[], file?: string): Promise<void> {
  const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr.on('data', (chunk) => {
    text += chunk;
  });
  const look = setInterval(() => {
    if (file && existsSync(file)) child.kill('SIGKILL');
  }, LOOK_MS);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (...outcome) => resolve(outcome));
  });
  clearInterval(look);
  const asWanted = file ? signal === 'SIGKILL' : code === 0;
  if (!asWanted) throw new Error(`${program}: ${file ?? 'end'}: exit ${code ?? signal}\n${text}`);
}

/** Runs the command, killed on the way as often as `kills` says, and returns the hashes of its files. */
async function runOn(
  method: Method,
  { command }: Host,
  threads: number,
  kills: readonly string[] = [],
): Promise<Hashes> {
  const out = join(folder, `run${runs++}`);
  const judges = {
    mocan: ['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
    pecan: ['--helpful', preferences, '--safe', preferences],
  };
  const run = [
    ...[...command, '--policy', POLICY, '--prompts', PROMPTS, ...judges[method]],
    ...['--beta', '1', '--margin', String(MARGIN[method]), '--device', 'cpu', '--threads', String(threads)],
    ...['--responses', given.responses, '--max-new-tokens', given['max-new-tokens']],
    ...['--save-steps', String(SAVE_STEPS), '--quiet', '--out', out],
  ];
  for (const file of kills) await execute(run, join(out, file));
  await execute(run);
  if (method === 'mocan' && !existsSync(preferences)) writePreferences(out);
  const hashes = await hashesOf(out);
  rmSync(out, { recursive: true });
  return common(hashes);
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

const expected = new Map<Method, Hashes>();
let differing = 0;
let started = performance.now();

function report(name: string, method: Method, hashes: Hashes): void {
  const first = expected.get(method) ?? hashes;
  expected.set(method, first);
  const files = [...new Set([...Object.keys(first), ...Object.keys(hashes)])];
  const wrong = files.filter((file) => first[file] !== hashes[file]);
  if (wrong.length > 0) differing++;
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const verdict = wrong.length === 0 ? `${files.length} files the same` : `DIFFERS in ${wrong.join(', ')}`;
  console.log(`${method} ${name.padEnd(48)} ${verdict}, ${seconds} s`);
  started = performance.now();
}

async function onChromium(method: Method): Promise<void> {
  copyFileSync(PROMPTS, join(folder, 'prompts.jsonl'));
  const settings = {
    limits: [{ kind: 'margin', value: MARGIN[method] }],
    beta: 1,
    responses: Number(given.responses),
    max_new_tokens: Number(given['max-new-tokens']),
    save_steps: SAVE_STEPS,
  };
  const kills = KILLS[method];
  await withAlignPage(folder, settings, async (align) => {
    report('Chromium, page, 1 thread', method, common(await align(method, 'page')));
    report('Chromium, worker, 2 threads', method, common(await align(method, 'worker')));
    report(`Chromium, page, left ${kills.length} times`, method, common(await align(method, 'page', kills)));
    const killed = common(await align(method, 'worker', kills));
    report(`Chromium, worker, ended ${kills.length} times`, method, killed);
  });
}

async function onHost(method: Method, host: Host): Promise<void> {
  report(`${host.name}, 1 thread`, method, await runOn(method, host, 1));
  report(`${host.name}, 2 threads`, method, await runOn(method, host, 2));
  const kills = KILLS[method];
  report(`${host.name}, killed ${kills.length} times`, method, await runOn(method, host, 2, kills));
}

const here = [process.execPath, ...(existsSync(DENO) ? ['deno'] : []), ...(chromiumPath ? ['chromium'] : [])];
const hosts = positionals.length > 0 ? positionals : here;
const methods = METHODS.filter((method) => (given.method ?? method) === method);
if (methods.length === 0) throw new Error(`expected --method ${METHODS.join(' or ')}, got ${given.method}`);
try {
  for (const method of methods) {
    if (method === 'pecan' && !existsSync(preferences)) {
      await runOn('mocan', nodeHost(process.execPath), 2);
      started = performance.now();
    }
    for (const host of hosts) {
      if (host === 'chromium') await onChromium(method);
      else await onHost(method, host === 'deno' ? denoHost() : nodeHost(host));
    }
    for (const file of SHOWN) console.log(`${expected.get(method)![file]}  ${method}: ${file}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = differing > 0 ? 1 : 0;
