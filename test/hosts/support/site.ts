/** The files of a page that runs code of the tests in a browser. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { ROOT } from '../../support/shared.ts';

const ONNX_WASM = 'ort-wasm-simd-threaded.wasm';

/** What a page's code needs beside itself. */
export interface SiteOptions {
  /** Also the program of onnxruntime-web. */
  readonly onnx?: boolean;
  /** Modules that are left out. */
  readonly external?: string[];
}

/**
 * Writes index.html, which loads page.js, and the scripts into the folder `site`. `entries` are sources in this repository
 * by the names of their scripts, of which `page` is one.
 */
export async function buildSite(
  site: string,
  entries: Readonly<Record<string, string>> & { readonly page: string },
  { onnx = false, external }: SiteOptions = {},
): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: { ...entries },
    bundle: true,
    splitting: Object.keys(entries).length > 1,
    chunkNames: '[name]-[hash]',
    format: 'esm',
    platform: 'browser',
    external,
    outdir: site,
    logLevel: 'error',
  });
  if (onnx) copyFileSync(join(ROOT, 'node_modules/onnxruntime-web/dist', ONNX_WASM), join(site, ONNX_WASM));
  writeFileSync(join(site, 'index.html'), '<!doctype html><script type="module" src="page.js"></script>');
}
