/** Prints the scores of fixed rows, one line for each scorer folder named; runs in Node and Deno. */
import { argv } from 'node:process';
import { DiskFolder } from '../../../src/host/disk.ts';
import { scoresInHex } from './score_rows.ts';

for (const folder of argv.slice(2)) console.log(await scoresInHex(new DiskFolder(folder)));
