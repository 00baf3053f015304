/** `npm test`: sets up, then lints, checks types and runs the tests with Node 24; arguments go to Vitest. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { argv, exit } from 'node:process';
import { inRoot, node, root, toolEnvironment } from './paths.mjs';
import { setupForTests } from './setup.mjs';

const REPORT = '.cache/vitest.json';

function phase(name, script, args) {
  console.log(`test: ${name}`);
  const { status } = spawnSync(node, [inRoot('node_modules', script), ...args], {
    cwd: root,
    env: toolEnvironment,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return status ?? 1;
}

function orExit(status) {
  if (status !== 0) exit(status);
}

setupForTests();
orExit(phase('lint and format (biome check)', '@biomejs/biome/bin/biome', ['check', '.']));
orExit(phase('types (tsc)', 'typescript/bin/tsc', ['--noEmit']));

rmSync(inRoot(REPORT), { force: true });
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${REPORT}`];
const status = phase('tests (vitest)', 'vitest/vitest.mjs', ['run', ...reporters, ...argv.slice(2)]);
try {
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(
    readFileSync(inRoot(REPORT), 'utf8'),
  );
  const skipped = numPendingTests > 0 ? `, ${numPendingTests} skipped` : '';
  console.log(`tests: ${numPassedTests} passed, ${numFailedTests} failed${skipped}`);
} catch {
  console.log('test: vitest wrote no report');
}
exit(status);
