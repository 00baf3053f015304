/** Runtime and version, such as "deno 2.9.6", "node 24.9.0" or "Chromium 150". */
export function runtimeName(): string {
  if (typeof process === 'undefined') return browserName();
  const { deno, node } = process.versions as { deno?: string; node: string };
  return deno ? `deno ${deno}` : `node ${node}`;
}

/** The most telling of the products that a browser says it is. */
function browserName(): string {
  const agent = globalThis.navigator?.userAgent ?? '';
  const product = /(Firefox|Edg|OPR|HeadlessChrome|Chrome|Version)\/(\d+)/.exec(agent);
  if (!product) return 'browser';
  const names: Record<string, string> = { Edg: 'Edge', OPR: 'Opera', Version: 'Safari' };
  const name = names[product[1]] ?? (product[1].endsWith('Chrome') ? 'Chromium' : product[1]);
  return `${name} ${product[2]}`;
}
