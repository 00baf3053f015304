import process from 'node:process';

/** Runtime and version, such as "deno 2.9.6" or "node 24.9.0". */
export function runtimeName(): string {
  const { deno, node } = process.versions as { deno?: string; node: string };
  return deno ? `deno ${deno}` : `node ${node}`;
}
