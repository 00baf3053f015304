/** Prints the driver and the sha-256 of what every operation gives: run in Node and Deno by identity.test.ts. */
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { UserError } from '../../src/errors.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { OPERATIONS } from './operations.ts';
import { values } from './values.ts';

async function main(): Promise<void> {
  const { device, info } = await requestDevice();
  const engine = createWebGpuEngine(device, info);
  console.log(`driver ${info.description}`);
  for (const [name, program] of OPERATIONS) {
    const results = await Promise.all(program(engine).map((tensor) => values(engine, tensor)));
    const bytes = await new Blob(results as BlobPart[]).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    console.log(`${name}: ${Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')}`);
  }
  engine.destroy();
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}
