/**
 * Builds the playground, web/ → dist/web/: static files for any web server. What a service worker keeps for use offline is
 * listed in sw.js with a name that changes with the content.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { build } from 'esbuild';
import { inRoot, root } from './paths.mjs';

/** How every bundle for browsers is made. */
export const BROWSER = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2023',
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
};

const ONNX_RUNTIME = 'ort-wasm-simd-threaded.wasm';
const DEMO = [
  ...['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'].map(
    (file) => `policy/${file}`,
  ),
  ...['reward', 'cost'].flatMap((scorer) =>
    ['config.json', 'model.onnx', 'tokenizer.json', 'tokenizer_config.json'].map(
      (file) => `${scorer}/${file}`,
    ),
  ),
  'prompts.jsonl',
  'helpful.jsonl',
  'safe.jsonl',
];

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

export async function buildWeb(out = inRoot('dist/web')) {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  await build({
    ...BROWSER,
    entryPoints: {
      main: 'web/main.ts',
      worker: 'web/worker.ts',
      scores_worker: 'web/scores_worker.ts',
      page: 'web/page.css',
    },
    outdir: out,
    splitting: true,
    chunkNames: '[name]-[hash]',
  });
  cpSync(inRoot('web/static'), out, { recursive: true });
  copyFileSync(inRoot('node_modules/onnxruntime-web/dist', ONNX_RUNTIME), join(out, ONNX_RUNTIME));
  for (const file of DEMO) cpSync(inRoot('models/demo', file), join(out, 'demo', file));
  const files = filesBelow(out);
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(readFileSync(join(out, file)));
  const { outputFiles } = await build({
    ...BROWSER,
    entryPoints: ['web/service_worker.ts'],
    write: false,
    define: { FILES: JSON.stringify(files), VERSION: JSON.stringify(hash.digest('hex').slice(0, 16)) },
  });
  writeFileSync(join(out, 'service_worker.js'), outputFiles[0].contents);
}
