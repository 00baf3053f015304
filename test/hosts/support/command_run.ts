/** A whole run by the command, in Node or Deno. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../../src/data/hash.ts';
import { ROOT } from '../../support/shared.ts';

/** sha-256 by path in the run folder. */
export type Hashes = Record<string, string>;

export interface Host {
  readonly name: string;
  readonly command: readonly string[];
}

export interface CommandRun {
  /** Options of the command that describe the run. */
  readonly options: readonly string[];
  readonly device: 'cpu' | 'webgpu';
  readonly threads?: number;
  readonly out: string;
  /** Files on whose appearance the run is killed; it is gone on with after each. */
  readonly kills?: readonly string[];
}

/** Between two looks for a file. */
const LOOK_MS = 2;
/** On a busy machine a file can come and go between two looks; the run is then made again. */
const TRIES = 5;
/** These name the host and the paths of a run. */
const OWN = ['manifest.json', 'report.html', 'adapter_config.json'];
const DENO = join(ROOT, 'node_modules/.bin/deno');
export const hasDeno = existsSync(DENO);

/** Node before 23.6 runs the bundle, dist/dualign.mjs; later ones run align.ts. */
export function nodeHost(program = process.execPath): Host {
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim().slice(1);
  const [major, minor] = version.split('.').map(Number);
  const script = major > 23 || (major === 23 && minor >= 6) ? 'align.ts' : 'dist/dualign.mjs';
  return { name: `Node ${version}, ${script}`, command: [program, join(ROOT, script)] };
}

export function denoHost(): Host {
  const [version] = execFileSync(DENO, ['--version'], { encoding: 'utf8' }).split('\n');
  const name = version.replace(/^deno (\S+).*/, 'Deno $1');
  return { name, command: [DENO, 'run', '-A', join(ROOT, 'align.ts')] };
}

/** Makes a run, killed and gone on with as often as asked; returns the hashes of its files. */
export async function runCommand({ command }: Host, run: CommandRun): Promise<Hashes> {
  const { options, device, threads = 1, out, kills = [] } = run;
  const line = [
    ...[...command, ...options, '--device', device, '--threads', String(threads)],
    ...['--quiet', '--out', out],
  ];
  for (let tries = 1; ; tries++) {
    const missed = await firstMissed(line, out, kills);
    if (missed === undefined) return await hashesOf(out);
    if (tries === TRIES)
      throw new Error(`${command.join(' ')}: ended before it could be killed at ${missed}`);
    rmSync(out, { recursive: true });
  }
}

/** Makes the run; returns the first file on whose appearance it was not killed in time. */
async function firstMissed(
  line: readonly string[],
  out: string,
  kills: readonly string[],
): Promise<string | undefined> {
  for (const file of kills) {
    if (!(await execute(line, join(out, file)))) return file;
  }
  await execute(line);
  return undefined;
}

/** Runs a program to its end, or kills it once `file` is there; returns whether it did. */
async function execute([program, ...args]: readonly string[], file?: string): Promise<boolean> {
  const env = { ...process.env, NODE_OPTIONS: '' };
  const child = spawn(program, args, { cwd: ROOT, env, stdio: ['ignore', 'ignore', 'pipe'] });
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
  const killed = file !== undefined && signal === 'SIGKILL';
  if (code !== 0 && !killed) throw new Error(`${program}: exit ${code ?? signal}\n${text}`);
  return killed;
}

/** Of all files of a run that are the same on every host. */
export async function hashesOf(out: string): Promise<Hashes> {
  const entries = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const files = entries.map((entry) => join(entry.parentPath, entry.name).slice(out.length + 1));
  const pairs = files.map(async (file) => [file, await sha256(readFileSync(join(out, file)))] as const);
  return common(Object.fromEntries(await Promise.all(pairs)));
}

/** The files that are the same on every host. */
export function common(files: Hashes): Hashes {
  return Object.fromEntries(Object.entries(files).filter(([file]) => !OWN.includes(file.split('/').at(-1)!)));
}
