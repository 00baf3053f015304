/**
 * `npm start`: sets up, then aligns the small assistant of models/demo end to end with Node 24. `npm start -- --method
 * pecan` does so from preferences; any other arguments are the command's own.
 */
import { spawn } from 'node:child_process';
import { join, relative } from 'node:path';
import { argv, cwd, exit } from 'node:process';
import { inRoot, node, toolEnvironment } from './paths.mjs';
import { setup } from './setup.mjs';

const METHODS = ['mocan', 'pecan'];

/** The method to show on the demo; undefined where the arguments are for the command. */
function demoMethod(args) {
  if (args.length === 0) return 'mocan';
  const [flag, value, ...rest] = args[0].startsWith('--method=') ? args[0].split('=') : args;
  return flag === '--method' && METHODS.includes(value) && rest.length === 0 ? value : undefined;
}

/** The command that the demo stands for. */
function demoArguments(method) {
  const demo = (path) => relative(cwd(), inRoot('models/demo', path));
  const scores =
    method === 'mocan'
      ? ['--reward', demo('reward'), '--cost', demo('cost'), '--beta', '0.5', '--margin', '0.2']
      : [
          '--helpful',
          demo('helpful.jsonl'),
          '--safe',
          demo('safe.jsonl'),
          '--beta',
          '0.5',
          '--margin',
          '0.2',
        ];
  return [
    ...['--policy', demo('policy'), '--prompts', demo('prompts.jsonl')],
    ...scores,
    ...['--responses', '12', '--num-train-epochs', '2', '--learning-rate', '0.005'],
    ...['--per-device-train-batch-size', '66'],
    ...['--measure', `${demo('truth.ts')}#help`, '--measure-cost', `${demo('truth.ts')}#hazard`],
    ...['--baselines', 'helpful,safe', '--out', join('runs', `demo-${method}`)],
  ];
}

setup();
const given = argv.slice(2);
const method = demoMethod(given);
const args = method ? demoArguments(method) : given;
if (method) console.log(`node align.ts ${args.join(' ')}\n`);

const child = spawn(node, [inRoot('align.ts'), ...args], { stdio: 'inherit', env: toolEnvironment });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => exit(code ?? 1));
