import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { engines } from './engines.ts';
import { hasFixtures } from './golden.ts';

const script = fileURLToPath(new URL('./identity.ts', import.meta.url));
const deno = fileURLToPath(new URL('../../node_modules/.bin/deno', import.meta.url));
const hasGpu = engines.some(({ name }) => name === 'WebGPU');

async function digests(command: string, args: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(command, [...args, script], { timeout: 100_000 });
  return stdout.trim().split('\n');
}

describe.skipIf(!hasFixtures || !hasGpu || !existsSync(deno))('Node and Deno', () => {
  it('sample the same tokens and train the same adapter on the same driver', async () => {
    const [nodeDriver, ...node] = await digests(process.execPath, ['--no-warnings']);
    const [denoDriver, ...other] = await digests(deno, ['run', '-A']);
    expect(node).toHaveLength(3);
    if ([nodeDriver, denoDriver].every((name) => /swiftshader/i.test(name))) expect(other).toEqual(node);
  });
});
