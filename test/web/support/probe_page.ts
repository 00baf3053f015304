/** Shows a test what a page remembers of devices. */
import { pageProbeCache } from '../../../src/host/probe_cache.ts';

Object.assign(globalThis, {
  remember: (key: string, variant: string) => pageProbeCache()!.set(key, variant),
  recall: (key: string) => pageProbeCache()!.get(key),
});
