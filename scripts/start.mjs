/**
 * `npm start`: sets up, then aligns the small assistant of models/demo end to end with Node 24. `npm start -- --method
 * pecan` does so from preferences, and options that follow change the demo's; any other arguments are the command's own.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { argv, cwd, exit } from 'node:process';
import { inRoot, node, toolEnvironment } from './paths.mjs';
import { setup } from './setup.mjs';

const METHODS = ['mocan', 'pecan'];

/** The method to show on the demo, and the options that follow; undefined where the arguments are for the command. */
function demoOf(args) {
  if (args.length === 0) return { method: 'mocan', rest: [] };
  const [flag, method, ...rest] = args[0].startsWith('--method=')
    ? [...args[0].split('='), ...args.slice(1)]
    : args;
  return flag === '--method' && METHODS.includes(method) ? { method, rest } : undefined;
}

/** The command that the demo stands for: a training that takes two minutes on two cores. */
function demoArguments(method) {
  const demo = (path) => relative(cwd(), inRoot('models/demo', path));
  const all = JSON.parse(readFileSync(inRoot('models/demo/settings.json'), 'utf8'));
  const inputs = { ...all.both.inputs, ...all[method].inputs };
  return [
    ...Object.entries(inputs).flatMap(([option, path]) => [option, demo(path)]),
    ...all[method].settings.split(' '),
    ...['--baselines', 'helpful,safe', '--out', join('runs', `demo-${method}`)],
  ];
}

setup();
const given = argv.slice(2);
const demo = demoOf(given);
const args = demo ? [...demoArguments(demo.method), ...demo.rest] : given;
if (demo) console.log(`node align.ts ${args.join(' ')}\n`);

const child = spawn(node, [inRoot('align.ts'), ...args], { stdio: 'inherit', env: toolEnvironment });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => exit(code ?? 1));
