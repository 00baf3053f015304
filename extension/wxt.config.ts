import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'wxt';

const root = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { version: string };

/** The demo's parts that the extension brings along: a model to start with, and judgements to try it on. */
const DEMO = ['policy', 'prompts.jsonl', 'helpful.jsonl', 'safe.jsonl'];

/** Where models on request come from; asked for when the user wants one, and not before. */
const HUB = ['https://huggingface.co/*', 'https://*.huggingface.co/*', 'https://*.hf.co/*'];

/** Nothing but the extension's own files runs, and nothing but the hub is reached. */
const POLICY = {
  'default-src': ["'none'"],
  'script-src': ["'self'", "'wasm-unsafe-eval'"],
  'worker-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'connect-src': ["'self'", ...HUB.map((pattern) => pattern.slice(0, -'/*'.length))],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
};

const CHROMIUM = {
  minimum_chrome_version: '116',
  permissions: ['sidePanel', 'offscreen', 'unlimitedStorage'],
  optional_host_permissions: HUB,
  // Threads share memory in isolated documents only.
  cross_origin_embedder_policy: { value: 'require-corp' },
  cross_origin_opener_policy: { value: 'same-origin' },
};

/** A page in the background owns the work where there are no offscreen documents; the third manifest has it end when idle. */
const FIREFOX = {
  browser_specific_settings: {
    gecko: {
      id: 'extension@dualign',
      strict_min_version: '140.0',
      data_collection_permissions: { required: ['none' as const] },
    },
  },
  background: { page: 'offscreen.html', persistent: true as const },
  permissions: ['unlimitedStorage'],
  optional_permissions: HUB,
};

export default defineConfig({
  outDir: process.env.EXTENSION_OUT ?? 'dist',
  outDirTemplate: '{{browser}}',
  imports: false,
  targetBrowsers: ['chrome', 'firefox'],
  manifest: ({ browser }) => ({
    name: 'dualign',
    version,
    description:
      'A language model of your own, aligned to your judgement of help and safety. Nothing leaves this machine.',
    action: { default_title: 'dualign' },
    content_security_policy: {
      extension_pages: Object.entries(POLICY)
        .map(([name, sources]) => `${name} ${sources.join(' ')}`)
        .join('; '),
    },
    ...(browser === 'firefox' ? FIREFOX : CHROMIUM),
  }),
  vite: ({ browser }) => ({
    resolve: { alias: { 'onnxruntime-web/wasm': `${root}extension/work/no_onnx.ts` } },
    build: { target: browser === 'firefox' ? 'firefox140' : 'chrome116', sourcemap: false },
    worker: { format: 'es' },
  }),
  hooks: {
    'build:publicAssets'(_, files) {
      for (const part of DEMO) {
        const path = `${root}models/demo/${part}`;
        const names = part.includes('.') ? [''] : readdirSync(path).map((name) => `/${name}`);
        for (const name of names) {
          files.push({ absoluteSrc: `${path}${name}`, relativeDest: `demo/${part}${name}` });
        }
      }
    },
  },
});
