/** What the playground's bundles are made of. */
import { builtinModules } from 'node:module';
import { build, type Plugin } from 'esbuild';
import { expect, test } from 'vitest';
import { ROOT } from '../support/shared.ts';

const ENTRIES = ['web/main.ts', 'web/worker.ts', 'web/scores_worker.ts', 'web/service_worker.ts'];

test('no Node code gets into the playground', async () => {
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
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRIES,
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    outdir: 'nowhere',
    plugins: [notice],
    logLevel: 'error',
  });
  expect([...strangers]).toEqual([]);
  const inputs = Object.keys(metafile.inputs);
  expect(inputs).toContain('src/host/page/workbench.ts');
  for (const host of ['disk', 'hub', 'sources', 'scorers', 'byte_ranges', 'download'])
    expect(inputs).not.toContain(`src/host/${host}.ts`);
});
