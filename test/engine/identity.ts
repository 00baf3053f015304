/** Prints the driver and the sha-256 of what every operation gives: run in Node and Deno by identity.test.ts. */
import { UserError } from '../../src/errors.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { OPERATIONS } from './operations.ts';
import { values } from './values.ts';
import { openEngine, variants } from './variants.ts';

async function main(): Promise<void> {
  const { device, info } = await requestDevice();
  device.destroy();
  console.log(`driver ${info.description}`);
  for (const variant of variants) {
    const engine = await openEngine(variant);
    for (const [name, program] of OPERATIONS) {
      const results = await Promise.all(program(engine).map((tensor) => values(engine, tensor)));
      const bytes = await new Blob(results as BlobPart[]).arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
      const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
      console.log(`${variant}, ${name}: ${hex}`);
    }
    engine.destroy();
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}
