import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../support/shared.ts';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Host = 'node' | 'deno';

function start(host: Host, args: readonly string[], env: NodeJS.ProcessEnv, cwd: string): ChildProcess {
  const align = join(ROOT, 'align.ts');
  const [command, first] =
    host === 'node' ? [process.execPath, []] : [join(ROOT, 'node_modules/.bin/deno'), ['run', '-A']];
  return spawn(command, [...first, align, ...args], {
    cwd,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Runs the command to its end; in Node, `killWhen` kills it once it has written a file whose path ends so. */
export function dualign(
  host: Host,
  args: readonly string[],
  { env = {}, killWhen, cwd = ROOT }: { env?: NodeJS.ProcessEnv; killWhen?: string; cwd?: string } = {},
): Promise<Outcome> {
  const hook = join(ROOT, 'test/cli/kill_when.mjs');
  const child = start(
    host,
    args,
    killWhen ? { ...env, KILL_WHEN: killWhen, NODE_OPTIONS: `--import ${hook}` } : env,
    cwd,
  );
  let stdout = '';
  let stderr = '';
  child.stdout!.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    stderr += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
