import type { Folder } from '../../src/data/folder.ts';
import { sha256 } from '../../src/data/hash.ts';
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { modelDigests } from '../model/digests.ts';
import { OPERATIONS } from './operations.ts';
import { watchedStarter } from './thread_start.ts';
import { values } from './values.ts';

/** sha-256 of what every operation gives on the CPU, and of a sampled and trained model where `model` holds one. */
export async function cpuDigests(threads: number, model?: Folder): Promise<string[]> {
  const starter = threads > 1 ? watchedStarter() : undefined;
  const engine = await createCpuEngine({ threads, startThreads: starter?.startThreads, leastShared: 0 });
  await starter?.started();
  const lines: string[] = [];
  for (const [name, program] of OPERATIONS) {
    const results = await Promise.all(program(engine).map((tensor) => values(engine, tensor)));
    lines.push(`${name}: ${await sha256(await bytesOf(results))}`);
  }
  if (model) lines.push(...(await modelDigests(await loadPolicy(engine, model))));
  engine.destroy();
  return lines;
}

async function bytesOf(results: readonly (Float32Array | Uint32Array)[]): Promise<Uint8Array> {
  return new Uint8Array(await new Blob([...results] as BlobPart[]).arrayBuffer());
}
