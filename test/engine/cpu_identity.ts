/** Prints the digests of the CPU engine: `cpu_identity.ts threads [model folder]`. */
import { DiskFolder } from '../../src/host/disk.ts';
import { cpuDigests } from './cpu_digests.ts';

const [threads, model] = process.argv.slice(2);
for (const line of await cpuDigests(Number(threads), model ? new DiskFolder(model) : undefined)) {
  console.log(line);
}
