import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../support/shared.ts';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Host = 'node' | 'deno';

function start(host: Host, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const align = join(ROOT, 'align.ts');
  const [command, first] =
    host === 'node' ? [process.execPath, []] : [join(ROOT, 'node_modules/.bin/deno'), ['run', '-A']];
  return spawn(command, [...first, align, ...args], {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Milliseconds between two looks at whether it is time to kill. */
const LOOK = 2;

/** Runs the command to its end, or kills it as soon as `killWhen` says so. */
export function dualign(
  host: Host,
  args: readonly string[],
  { env = {}, killWhen }: { env?: NodeJS.ProcessEnv; killWhen?: () => boolean } = {},
): Promise<Outcome> {
  const child = start(host, args, env);
  let stdout = '';
  let stderr = '';
  child.stdout!.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    stderr += chunk;
  });
  const watch = killWhen && setInterval(() => killWhen() && child.kill('SIGKILL'), LOOK);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(watch);
      resolve({ code, stdout, stderr });
    });
  });
}
