import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { OPERATIONS } from './operations.ts';
import { noGpu } from './support.ts';
import { variants } from './variants.ts';

const script = fileURLToPath(new URL('./identity.ts', import.meta.url));
const deno = fileURLToPath(new URL('../../node_modules/.bin/deno', import.meta.url));

const hosts: Record<string, [string, string[]]> = {
  Node: [process.execPath, ['--no-warnings', script]],
  ...(existsSync(deno) ? { Deno: [deno, ['run', '-A', script]] } : {}),
};

/** Software drivers compile every kernel anew in each host: minutes on a busy machine. */
const SLOW = 300_000;

async function run(host: string, environment: NodeJS.ProcessEnv = {}) {
  const [command, args] = hosts[host];
  const env: NodeJS.ProcessEnv = { ...process.env, ...environment };
  // The script must choose a driver as a user's run does, not inherit this process's choice.
  if (!environment.VK_ICD_FILENAMES) delete env.VK_ICD_FILENAMES;
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, { env, timeout: SLOW });
    return { code: 0, stdout, stderr };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}

describe.skipIf(noGpu || !hosts.Deno)('Node and Deno', () => {
  test(
    'give the same bits for every operation on the same driver',
    async () => {
      const node = await run('Node');
      const other = await run('Deno');
      expect([node.code, other.code]).toEqual([0, 0]);
      const [driver, ...digests] = node.stdout.trim().split('\n');
      const [otherDriver, ...otherDigests] = other.stdout.trim().split('\n');
      expect(digests.length).toBe(variants.length * OPERATIONS.length);
      if ([driver, otherDriver].every((name) => /swiftshader/i.test(name)))
        expect(otherDigests).toEqual(digests);
    },
    2 * SLOW,
  );
});

describe.skipIf(process.platform !== 'linux').each(Object.keys(hosts))(
  '%s without a WebGPU adapter',
  (host) => {
    test('says so, and how to get one', async () => {
      const { code, stderr } = await run(host, { VK_ICD_FILENAMES: '/nonexistent' });
      expect(code).toBe(2);
      expect(stderr).toContain(
        'No WebGPU adapter: the Vulkan driver /nonexistent (named by the environment) gave none.',
      );
      expect(stderr).toContain('apt-get install chromium');
    });
  },
);
