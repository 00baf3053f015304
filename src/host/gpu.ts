import type { DeviceInfo } from '../engine/engine.ts';
import { runsOnCpu } from '../engine/webgpu/engine.ts';
import { UserError } from '../errors.ts';
import { easeDawnPolling } from './dawn_polling.ts';

/** Where distributions keep the manifest of SwiftShader, the software Vulkan driver that comes with Chromium. */
const SWIFTSHADER_MANIFESTS = [
  '/usr/lib/chromium/vk_swiftshader_icd.json',
  '/usr/lib64/chromium-browser/vk_swiftshader_icd.json',
  '/usr/lib/chromium-browser/vk_swiftshader_icd.json',
  '/opt/google/chrome/vk_swiftshader_icd.json',
  '/opt/chromium/vk_swiftshader_icd.json',
];
const VULKAN_MANIFEST_FOLDERS = [
  '/usr/share/vulkan/icd.d',
  '/etc/vulkan/icd.d',
  '/usr/local/share/vulkan/icd.d',
];

/** Limits worth raising above WebGPU's portable defaults: an embedding table easily passes 128 MiB. */
const LIMITS = ['maxStorageBufferBindingSize', 'maxBufferSize'] as const;

/** What faster kernels use where there is it. */
const FEATURES: readonly GPUFeatureName[] = ['subgroups', 'shader-f16'];

/** A device, and what is known of it. */
export interface GpuDevice {
  readonly device: GPUDevice;
  readonly info: DeviceInfo;
}

/**
 * A WebGPU device of this host: a browser's or Deno's own, or the npm package `webgpu` (Dawn) in Node. On Linux
 * without a GPU it falls back to SwiftShader where Chromium brought it along.
 */
export async function requestDevice(): Promise<GpuDevice> {
  const software = useSoftwareDriver(hasVulkanHardware);
  let adapter = await (await gpu())?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter && useSoftwareDriver(() => false)) {
    adapter = await (await freshGpu())?.requestAdapter({ powerPreference: 'high-performance' });
  }
  if (!adapter) throw new UserError(noAdapter(software));
  return await open(adapter);
}

/** A device of a real GPU, or undefined where there is none. */
export async function requestGpu(): Promise<GpuDevice | undefined> {
  if (isLinux() && !namedDriver() && !hasVulkanHardware()) return undefined;
  try {
    const adapter = await (await gpu())?.requestAdapter({ powerPreference: 'high-performance' });
    return adapter && !runsOnCpu(describe(adapter.info)) ? await open(adapter) : undefined;
  } catch {
    return undefined;
  }
}

async function open(adapter: GPUAdapter): Promise<GpuDevice> {
  const requiredFeatures = FEATURES.filter((name) => adapter.features.has(name));
  const requiredLimits = offeredLimits(adapter);
  const device = await adapter
    .requestDevice({ requiredFeatures, requiredLimits })
    // Some drivers refuse limits that they offered; the defaults are enough, as large tensors are held in pieces.
    .catch(() => adapter.requestDevice({ requiredFeatures }));
  return { device, info: describe(adapter.info) };
}

/** False in browsers, which have drivers of their own. */
function isLinux(): boolean {
  return typeof process !== 'undefined' && process.platform === 'linux';
}

/** The Vulkan driver that the user chose. */
function namedDriver(): string | undefined {
  return process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES;
}

function offeredLimits(adapter: GPUAdapter): Record<string, number> {
  return Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
}

/** Browsers leave `description` empty and name the driver in `architecture`. */
function describe(info: GPUAdapterInfo): DeviceInfo {
  return {
    engine: 'webgpu',
    vendor: info.vendor,
    device: info.device,
    description: info.description || info.architecture,
  };
}

async function gpu(): Promise<GPU | undefined> {
  return globalThis.navigator?.gpu ?? (await freshGpu());
}

/** Dawn in Node. A property of `navigator` keeps it alive; replacing `navigator` would mislead other libraries. */
async function freshGpu(): Promise<GPU | undefined> {
  if (typeof process === 'undefined' || 'Deno' in globalThis) return globalThis.navigator?.gpu;
  let dawn: typeof import('webgpu');
  try {
    dawn = await import('webgpu');
  } catch {
    throw new UserError(
      'No WebGPU in this Node: the optional package "webgpu" is not installed or has no build for this platform. ' +
        'Install it with `npm install webgpu`, or run in Deno or a browser.',
    );
  }
  if (!('GPUDevice' in globalThis)) easeDawnPolling();
  Object.assign(globalThis, dawn.globals);
  Object.defineProperty(globalThis.navigator, 'gpu', { value: dawn.create([]), configurable: true });
  return globalThis.navigator.gpu;
}

/** Names SwiftShader to the Vulkan loader unless the user chose a driver or `hasHardware`; returns what it named. */
function useSoftwareDriver(hasHardware: () => boolean): string | undefined {
  if (!isLinux()) return undefined;
  // wgpu's OpenGL backend would stand in for a missing Vulkan driver with results of its own.
  process.env.DENO_WEBGPU_BACKEND ??= 'vulkan';
  if (namedDriver() || hasHardware()) return undefined;
  const { existsSync } = process.getBuiltinModule('node:fs');
  const manifest = [...SWIFTSHADER_MANIFESTS, ...playwrightManifests()].find((path) => existsSync(path));
  // The loader reads the variable when the first Vulkan instance is made, which is at the first requestAdapter.
  if (manifest) process.env.VK_ICD_FILENAMES = manifest;
  return manifest;
}

/** A render node, and a driver for it beside Mesa's software rasterizer (which Dawn does not accept). */
function hasVulkanHardware(): boolean {
  const nodes = [...list('/dev/dri'), ...list('/dev')].filter((name) =>
    /^(renderD|nvidia\d|dxg$|mali)/.test(name),
  );
  const drivers = VULKAN_MANIFEST_FOLDERS.flatMap(list).filter((name) => !/lvp|swrast/.test(name));
  return nodes.length > 0 && drivers.length > 0;
}

function playwrightManifests(): string[] {
  const root = `${process.env.PLAYWRIGHT_BROWSERS_PATH || `${process.env.HOME}/.cache/ms-playwright`}`;
  return list(root)
    .filter((name) => name.startsWith('chromium'))
    .flatMap((name) =>
      list(`${root}/${name}`).map((folder) => `${root}/${name}/${folder}/vk_swiftshader_icd.json`),
    );
}

function list(folder: string): string[] {
  try {
    return process.getBuiltinModule('node:fs').readdirSync(folder);
  } catch {
    return [];
  }
}

function noAdapter(software: string | undefined): string {
  if (typeof process === 'undefined') {
    return (
      'No WebGPU adapter: this browser offers none. Use a current Chromium, Firefox or Safari with hardware acceleration on; ' +
      'where it offered one before, start it anew, since browsers give up a graphics driver that crashed several times.'
    );
  }
  const chosen = namedDriver();
  const looked = chosen
    ? `the Vulkan driver ${chosen}${software ? '' : ' (named by the environment)'} gave none`
    : 'neither a GPU driver nor SwiftShader was found';
  const mend =
    process.platform === 'linux'
      ? "Install the GPU's Vulkan driver, or the software one (Debian: `apt-get install chromium`), " +
        'or point VK_ICD_FILENAMES at the manifest of another driver.'
      : 'Update the graphics driver, or run in a browser with hardware acceleration.';
  return `No WebGPU adapter: ${looked}. ${mend}`;
}
