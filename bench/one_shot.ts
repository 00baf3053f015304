/**
 * Wall time of one-shot alignment against an iterative primal-dual method that ends with the same constraint met, on the
 * demo, in one process.
 *
 *     node bench/one_shot.ts [--margin 0.2] [--dual-learning-rate eta] [--iterations 12] [--threads n]
 *
 * Both begin with the same responses of the reference, whose sampling and scoring count for both. One-shot: the dual, labels,
 * and training as `npm start` does it. Primal-dual: a step of λ, one epoch of the same training, new responses, scores, until
 * two checks in a row find the constraint met. What the one-shot policy achieves is measured in the same way, off the clock.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { SCORES } from '../src/align/artefacts.ts';
import { collect, collectFrom } from '../src/align/collect.ts';
import { parseConfig } from '../src/align/config.ts';
import type { Context } from '../src/align/context.ts';
import { readDual, solveDual } from '../src/align/dual.ts';
import { label } from '../src/align/label.ts';
import { primalDual } from '../src/align/primal_dual.ts';
import { silent } from '../src/align/progress.ts';
import { partOf } from '../src/align/round.ts';
import { parseScoreRows } from '../src/align/rows.ts';
import { score } from '../src/align/score.ts';
import { train } from '../src/align/train.ts';
import { demoOptions } from '../src/cli/demo.ts';
import { Run } from '../src/data/run.ts';
import { DiskFolder, temporaryFolder } from '../src/host/disk.ts';
import { runtimeName } from '../src/host/runtime.ts';
import { DiskSources } from '../src/host/sources.ts';

const { values: given } = parseArgs({
  options: {
    margin: { type: 'string', default: '0.2' },
    'dual-learning-rate': { type: 'string' },
    iterations: { type: 'string', default: '12' },
    threads: { type: 'string' },
  },
});
const eta = given['dual-learning-rate'];
const config = parseConfig(
  {
    ...(await demoOptions('mocan')),
    device: 'cpu',
    limits: [{ kind: 'margin', value: Number(given.margin) }],
    primal_dual_iterations: Number(given.iterations),
    ...(eta === undefined ? {} : { dual_learning_rate: Number(eta) }),
  },
  'bench',
);
const threads = given.threads === undefined ? undefined : Number(given.threads);
const sources = new DiskSources('cpu', { threads });
const { path, remove } = await temporaryFolder('dualign-one-shot-');
const run = await Run.open(new DiskFolder(path), runtimeName());
run.configure(config, false);
const context: Context = { run, config, sources, progress: silent };

/** Seconds on the clock, and of the processors. */
type Time = readonly [wall: number, processor: number];

async function timeOf(work: () => Promise<unknown>): Promise<Time> {
  const start = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return [(performance.now() - start) / 1000, (user + system) / 1e6];
}

const sum = (a: Time, b: Time): Time => [a[0] + b[0], a[1] + b[1]];
const timeText = ([wall, processor]: Time) =>
  `${wall.toFixed(1)} s (${processor.toFixed(1)} s of the processors)`;

/** Mean safety over the training prompts. */
async function safetyOf({ run: part }: Context): Promise<number> {
  const rows = parseScoreRows(await part.folder.readText(SCORES), SCORES, 1);
  return rows.reduce((sum, { safety }) => sum + safety[0], 0) / rows.length;
}

try {
  // What loads once is no part of either.
  await sources.policy(config.policy!).load();
  for (const spec of [config.reward!, config.constraints[0].scorer]) await sources.scorer(spec).load();
  const first = await timeOf(async () => {
    await collect(context);
    await score(context);
  });
  const oneShot = await timeOf(async () => {
    await solveDual(context);
    await label(context);
    await train(context);
  });
  let iterations: Awaited<ReturnType<typeof primalDual>> = [];
  const iterative = await timeOf(async () => {
    iterations = await primalDual(context, 'baselines/primal-dual');
  });
  const { thresholds, lambda } = await readDual(context);
  const check = partOf(context, 'check', 'check');
  await collectFrom(check, run);
  await score(check);
  const last = iterations.at(-1)!;
  const mean = (value: number) => value.toFixed(3);
  console.log(`asked: mean safety of at least ${mean(thresholds[0])} on the training prompts`);
  console.log(
    `one-shot:    ${timeText(sum(first, oneShot))}, λ* ${mean(lambda[0])}, achieved ${mean(await safetyOf(check))}`,
  );
  console.log(
    `primal-dual: ${timeText(sum(first, iterative))}, ${iterations.length - 1} updates, achieved ${mean(last.safety[0])}, ` +
      `${last.met ? 'met' : 'not met'}; λ ${iterations.map((each) => (each.lambda ? each.lambda[0].toFixed(2) : 'end')).join(', ')}; ` +
      `safety ${iterations.map(({ safety }) => mean(safety[0])).join(', ')}`,
  );
  const [wall, processor] = [0, 1].map((i) => sum(first, oneShot)[i] / sum(first, iterative)[i]);
  console.log(`one-shot takes ${wall.toFixed(2)} of the time, ${processor.toFixed(2)} of the processors’`);
} finally {
  sources.close();
  await remove();
}
