import type { ProbeCache } from '../engine/webgpu/probe.ts';

/** What was found about devices, kept where this host keeps such things: on disk, or in a browser's storage for the page. */
export function probeCache(): ProbeCache | undefined {
  return diskProbeCache() ?? pageProbeCache();
}

/**
 * The Cache Storage of a page's origin, which its workers share; undefined where there is none, as on pages without https. What
 * cannot be read or written is no error.
 */
export function pageProbeCache(): ProbeCache | undefined {
  if (typeof caches === 'undefined') return undefined;
  // A name alone: nothing is fetched from there.
  const place = (key: string) => `https://dualign.invalid/probe/${encodeURIComponent(key)}`;
  const open = () => caches.open('dualign-probe');
  return {
    async get(key) {
      try {
        return await (await (await open()).match(place(key)))?.text();
      } catch {
        return undefined;
      }
    },
    async set(key, variant) {
      try {
        await (await open()).put(place(key), new Response(variant));
      } catch {
        // Private windows may have no storage.
      }
    },
  };
}

/**
 * What was found about devices, kept in XDG_CACHE_HOME, or ~/.cache, as dualign/probe.json; undefined where this host has no
 * disk. A file that cannot be read or written is no error: the devices are tried again.
 */
export function diskProbeCache(): ProbeCache | undefined {
  if (typeof process === 'undefined' || !process.getBuiltinModule) return undefined;
  const { readFileSync, mkdirSync, writeFileSync, renameSync } = process.getBuiltinModule('node:fs');
  const { join } = process.getBuiltinModule('node:path');
  const { homedir } = process.getBuiltinModule('node:os');
  const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dualign');
  const file = join(folder, 'probe.json');

  function read(): Record<string, unknown> {
    try {
      const found: unknown = JSON.parse(readFileSync(file, 'utf8'));
      return typeof found === 'object' && found !== null ? { ...found } : {};
    } catch {
      return {};
    }
  }

  return {
    get(key) {
      const found = read()[key];
      return typeof found === 'string' ? found : undefined;
    },
    set(key, variant) {
      try {
        mkdirSync(folder, { recursive: true });
        const part = `${file}.${process.pid}`;
        writeFileSync(part, `${JSON.stringify({ ...read(), [key]: variant }, null, 2)}\n`);
        renameSync(part, file);
      } catch {
        // Read-only homes are common in containers.
      }
    },
  };
}
