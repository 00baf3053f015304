import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../support/shared.ts';

it.each([
  ['node', process.execPath, []],
  ['deno', join(ROOT, 'node_modules/.bin/deno'), ['run', '-A']],
])('a reader who leaves early is no error in %s', async (_, command, first) => {
  const child = spawn(command, [...first, join(ROOT, 'align.ts'), 'align', '--help'], { cwd: ROOT });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
