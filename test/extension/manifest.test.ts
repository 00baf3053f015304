import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chromiumPath } from '../hosts/support/browser.ts';
import { type BuiltExtension, buildExtension, openBrowser } from './support/extension.ts';

let extension: BuiltExtension;
beforeAll(() => {
  extension = buildExtension();
});
afterAll(() => extension.remove());

function builtFiles(...types: string[]): string[] {
  return readdirSync(extension.path, { recursive: true, encoding: 'utf8' }).filter((file) =>
    types.includes(extname(file)),
  );
}

it('asks for no site, runs no code but its own, and reaches nothing but the hub', () => {
  const { permissions, host_permissions, content_scripts, optional_host_permissions } = extension.manifest;
  expect(permissions).toEqual(['sidePanel', 'offscreen', 'unlimitedStorage']);
  expect(host_permissions).toBeUndefined();
  expect(content_scripts).toBeUndefined();
  expect(optional_host_permissions).toEqual([
    'https://huggingface.co/*',
    'https://*.huggingface.co/*',
    'https://*.hf.co/*',
  ]);
  const { extension_pages } = extension.manifest.content_security_policy as { extension_pages: string };
  const policy = Object.fromEntries(
    extension_pages.split('; ').map((directive) => {
      const [name, ...sources] = directive.split(' ');
      return [name, sources.join(' ')];
    }),
  );
  expect(policy).toEqual({
    'default-src': "'none'",
    'script-src': "'self' 'wasm-unsafe-eval'",
    'worker-src': "'self'",
    'style-src': "'self'",
    'img-src': "'self' data:",
    'connect-src': "'self' https://huggingface.co https://*.huggingface.co https://*.hf.co",
    'base-uri': "'none'",
    'form-action': "'none'",
    'frame-ancestors': "'none'",
  });
});

it('has no inline script or style, and nothing of Node', () => {
  for (const file of builtFiles('.html')) {
    const text = readFileSync(join(extension.path, file), 'utf8');
    expect(text, file).not.toMatch(/<script(?![^>]*\ssrc=")[^>]*>|<style|\sstyle=|\son\w+=|https?:\/\//);
  }
  for (const file of builtFiles('.js')) {
    const text = readFileSync(join(extension.path, file), 'utf8');
    expect(text, file).not.toMatch(/from\s*["'`]node:|import\(["'`](node:|https?:)/);
  }
});

it.skipIf(!chromiumPath)(
  'loads in Chromium, where its policy keeps foreign code out and lets Wasm in',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dualign-profile-'));
    const { context, panel } = await openBrowser({ folder, extension });
    try {
      const page = await panel();
      const outcome = await page.evaluate(async () => {
        const attempt = async (work: () => unknown) => {
          try {
            await work();
            return 'allowed';
          } catch {
            return 'refused';
          }
        };
        const script = document.createElement('script');
        script.textContent = 'globalThis.inlineRan = true';
        document.body.append(script);
        return {
          wasm: await attempt(() => WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))),
          // biome-ignore lint/security/noGlobalEval: it is to be refused.
          evaluate: await attempt(() => globalThis.eval('1')),
          inline: 'inlineRan' in globalThis ? 'allowed' : 'refused',
          elsewhere: await attempt(() => fetch('http://localhost:1/')),
          isolated: globalThis.crossOriginIsolated,
        };
      });
      expect(outcome).toEqual({
        wasm: 'allowed',
        evaluate: 'refused',
        inline: 'refused',
        elsewhere: 'refused',
        isolated: true,
      });
    } finally {
      await context.close();
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
