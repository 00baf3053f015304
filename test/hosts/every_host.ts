/**
 * The stories' alignment on the CPU engine, on every host, with 1 and 2 threads, and killed and gone on with: are the
 * files the same, bit for bit? Needs the shared models and a build (`node build.mjs`).
 *
 *     node test/hosts/every_host.ts [--responses 16] [--max-new-tokens 64] [host …]
 *
 * A host is `deno`, `chromium` or a program of Node 22 or later; without any, this Node and the other two where they are.
 * Node before 23.6 runs the bundle, dist/dualign.mjs; the rest run align.ts.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, SHARED } from '../support/shared.ts';
import { alignInChromium, common, type Hashes, hashesOf } from './support/align_page.ts';
import { chromiumPath } from './support/browser.ts';

/** What a run is judged by; every other file that no host marks is compared too. */
const SHOWN = ['scores.jsonl', 'dual.json', 'pairs.jsonl', 'adapter/adapter_model.safetensors'];
/** Files on whose writing a run is killed: while sampling, while training, while evaluating. */
const KILLS = ['samples.jsonl.partial', 'checkpoint.safetensors', 'evaluation/aligned_samples.jsonl.partial'];
const DENO = join(ROOT, 'node_modules/.bin/deno');
const PROMPTS = `${SHARED}/data/story-prompts.jsonl`;

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    responses: { type: 'string', default: '16' },
    'max-new-tokens': { type: 'string', default: '64' },
  },
});

interface Host {
  readonly name: string;
  readonly command: readonly string[];
  /** Whether it can be killed by test/cli/kill_when.mjs. */
  readonly isNode: boolean;
}

function nodeHost(program: string): Host {
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim().slice(1);
  const [major, minor] = version.split('.').map(Number);
  const script = major > 23 || (major === 23 && minor >= 6) ? 'align.ts' : 'dist/dualign.mjs';
  return { name: `Node ${version}, ${script}`, command: [program, join(ROOT, script)], isNode: true };
}

function denoHost(): Host {
  const [version] = execFileSync(DENO, ['--version'], { encoding: 'utf8' }).split('\n');
  const name = version.replace(/^deno (\S+).*/, 'Deno $1');
  return { name, command: [DENO, 'run', '-A', join(ROOT, 'align.ts')], isNode: false };
}

const folder = mkdtempSync(join(tmpdir(), 'dualign-hosts-'));
let runs = 0;

/** Runs the command, killed on the way as often as `kills` says, and returns the hashes of its files. */
async function runOn(host: Host, threads: number, kills: readonly string[] = []): Promise<Hashes> {
  const out = join(folder, `run${runs++}`);
  const args = [
    ...['--policy', `${SHARED}/models/stories260K`, '--prompts', PROMPTS],
    ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
    ...['--beta', '1', '--margin', '0.25', '--device', 'cpu', '--threads', String(threads)],
    ...['--responses', given.responses, '--max-new-tokens', given['max-new-tokens'], '--quiet', '--out', out],
  ];
  const hook = join(ROOT, 'test/cli/kill_when.mjs');
  for (const file of [...kills, undefined]) {
    const env = file ? { KILL_WHEN: file, NODE_OPTIONS: `--import ${hook}` } : { NODE_OPTIONS: '' };
    const { status, signal, stderr } = spawnSync(host.command[0], [...host.command.slice(1), ...args], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      encoding: 'utf8',
    });
    const asWanted = file ? signal === 'SIGKILL' : status === 0;
    if (!asWanted) throw new Error(`${host.name}: ${file ?? 'end'}: exit ${status ?? signal}\n${stderr}`);
  }
  const hashes = await hashesOf(out);
  rmSync(out, { recursive: true });
  return common(hashes);
}

let expected: Hashes | undefined;
let differing = 0;

function report(name: string, hashes: Hashes): void {
  expected ??= hashes;
  const files = [...new Set([...Object.keys(expected), ...Object.keys(hashes)])];
  const wrong = files.filter((file) => expected![file] !== hashes[file]);
  if (wrong.length > 0) differing++;
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const verdict = wrong.length === 0 ? `${files.length} files the same` : `DIFFERS in ${wrong.join(', ')}`;
  console.log(`${name.padEnd(48)} ${verdict}, ${seconds} s`);
  started = performance.now();
}

async function reportChromium(): Promise<void> {
  copyFileSync(PROMPTS, join(folder, 'prompts.jsonl'));
  const { onPage, inWorker } = await alignInChromium(folder, {
    limits: [{ kind: 'margin', value: 0.25 }],
    beta: 1,
    responses: Number(given.responses),
    max_new_tokens: Number(given['max-new-tokens']),
  });
  report('Chromium, page, 1 thread', common(onPage));
  report('Chromium, worker, 2 threads', common(inWorker));
}

const here = [process.execPath, ...(existsSync(DENO) ? ['deno'] : []), ...(chromiumPath ? ['chromium'] : [])];
const hosts = positionals.length > 0 ? positionals : here;
let started = performance.now();
try {
  for (const asked of hosts) {
    if (asked === 'chromium') {
      await reportChromium();
      continue;
    }
    const host = asked === 'deno' ? denoHost() : nodeHost(asked);
    for (const threads of [1, 2]) {
      report(`${host.name}, ${threads === 1 ? '1 thread' : '2 threads'}`, await runOn(host, threads));
    }
    if (host.isNode) report(`${host.name}, killed ${KILLS.length} times`, await runOn(host, 2, KILLS));
  }
  for (const file of SHOWN) console.log(`${expected![file]}  ${file}`);
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = differing > 0 ? 1 : 0;
