import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { build, type Plugin } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { repository } from '../score/support/folders.ts';

const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string };
const deno = join(repository, 'node_modules/.bin/deno');
const bundle = join(repository, 'dist/dualign.mjs');

function outputOf(command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd: repository, encoding: 'utf8' }).trim();
}

describe('the command', () => {
  it('is the same file for Node and Deno', () => {
    expect(outputOf(execPath, 'align.ts', '--version')).toBe(version);
    expect(outputOf(deno, 'run', '-A', 'align.ts', '--version')).toBe(version);
  });

  it.skipIf(!existsSync(bundle))('is bundled as dist/dualign.mjs', () => {
    expect(outputOf(execPath, bundle, '--version')).toBe(version);
    expect(outputOf(deno, 'run', '-A', bundle, '--version')).toBe(version);
  });
});

describe('the library', () => {
  for (const entry of ['src/index.ts', 'src/dual/index.ts']) {
    it(`${entry} has the same exports in Node and Deno`, () => {
      const script = `import('./${entry}').then((all) => console.log(JSON.stringify(Object.keys(all))))`;
      const names = JSON.parse(outputOf(execPath, '--input-type=module', '--eval', script)) as string[];
      expect(names.length).toBeGreaterThan(0);
      expect(JSON.parse(outputOf(deno, 'eval', script))).toEqual(names);
    });

    it(`${entry} brings no Node code into a browser bundle`, async () => {
      const strangers = new Set<string>();
      const notice: Plugin = {
        name: 'notice Node modules',
        setup({ onResolve }) {
          onResolve({ filter: /.*/ }, ({ path, importer }) => {
            if (!path.startsWith('node:') && !builtinModules.includes(path)) return undefined;
            strangers.add(`${path} by ${importer}`);
            return { path, external: true };
          });
        },
      };
      await build({
        absWorkingDir: repository,
        entryPoints: [entry],
        bundle: true,
        write: false,
        format: 'esm',
        platform: 'browser',
        plugins: [notice],
        logLevel: 'error',
      });
      expect([...strangers]).toEqual([]);
    });
  }
});
