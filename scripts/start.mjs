/**
 * `npm start`: sets up, then aligns the small assistant of models/demo end to end with Node 24. `npm start -- --method
 * pecan` does so from preferences, and options that follow change the demo's; any other arguments are the command's own.
 */
import { spawn } from 'node:child_process';
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

/** Where scores come from, the constraint, and a training that takes two minutes on two cores. */
const SETTINGS = {
  mocan: {
    scores: { '--reward': 'reward', '--cost': 'cost' },
    rest: '--beta 1 --margin 0.2 --responses 12 --num-train-epochs 3 --learning-rate 0.0025 --per-device-train-batch-size 132',
  },
  pecan: {
    scores: { '--helpful': 'helpful.jsonl', '--safe': 'safe.jsonl' },
    rest: '--beta 1 --margin 1 --responses 8 --num-train-epochs 2 --learning-rate 0.003 --per-device-train-batch-size 56',
  },
};

/** The command that the demo stands for. */
function demoArguments(method) {
  const demo = (path) => relative(cwd(), inRoot('models/demo', path));
  const { scores, rest } = SETTINGS[method];
  return [
    ...['--policy', demo('policy'), '--prompts', demo('prompts.jsonl')],
    ...Object.entries(scores).flatMap(([option, path]) => [option, demo(path)]),
    ...rest.split(' '),
    ...['--measure', demo('truth.ts#help'), '--measure-cost', demo('truth.ts#hazard')],
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
