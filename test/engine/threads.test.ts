import { existsSync } from 'node:fs';
import { execPath } from 'node:process';
import { expect, test } from 'vitest';
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import type { Engine, Tensor } from '../../src/engine/engine.ts';
import type { StartThreads } from '../../src/pool.ts';
import { hasDeno } from '../hosts/support/command_run.ts';
import { run } from '../support/processes.ts';
import { Inputs } from './inputs.ts';
import { watchedStarter } from './thread_start.ts';

const SIZE = 96;

function product(engine: Engine): Tensor {
  const inputs = new Inputs('product');
  const [a, b] = [0, 1].map(() => engine.upload(inputs.floats(SIZE * SIZE), [SIZE, SIZE]));
  const out = engine.tensor([SIZE, SIZE]);
  engine.matmul(out, a, b);
  engine.free(a, b);
  return out;
}

async function engineWith(startThreads: StartThreads): Promise<Engine> {
  return await createCpuEngine({ threads: 3, startThreads, leastShared: 0 });
}

test('threads that never start are not waited for', async () => {
  const alone = await createCpuEngine();
  const engine = await engineWith(() => ({ terminate() {} }));
  expect(await engine.read(product(engine))).toEqual(await alone.read(product(alone)));
});

test('jobs given before, while and after threads start have the same result', async () => {
  const alone = await createCpuEngine();
  const expected = await alone.read(product(alone));
  const { startThreads, started } = watchedStarter();
  const engine = await engineWith(startThreads);
  let there = false;
  const arrival = started().then(() => {
    there = true;
  });
  for (let after = 0; after < 50; ) {
    const out = product(engine);
    expect(await engine.read(out)).toEqual(expected);
    engine.free(out);
    if (there) after++;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await arrival;
  engine.destroy();
});

test('a thread that fails is told of', async () => {
  const { startThreads, started } = watchedStarter();
  // Without names of kernels a thread finds none to call.
  const engine = await engineWith((text, message, count) =>
    startThreads(text, { ...(message as object), kernels: [] }, count),
  );
  await started();
  await expect(async () => {
    for (let job = 0; job < 10_000; job++) engine.free(product(engine));
  }).rejects.toThrow('matmul: a thread failed');
  engine.destroy();
});

test('a destroyed engine ends its threads', async () => {
  const { startThreads, started } = watchedStarter();
  let ended = false;
  const engine = await engineWith((text, message, count) => {
    const threads = startThreads(text, message, count);
    return {
      terminate() {
        threads.terminate();
        ended = true;
      },
    };
  });
  await started();
  const out = product(engine);
  engine.destroy();
  expect(ended).toBe(true);
  expect(() => engine.add(out, out)).toThrow('The engine was destroyed');
});

test
  .skipIf(!existsSync('/proc/self/task'))
  .each([
    ['Node', execPath, []],
    ...(hasDeno ? [['Deno', 'node_modules/.bin/deno', ['run', '-A']] as const] : []),
  ] as const)('in %s no thread of a destroyed engine is left', async (_, command, options) => {
  const { stdout, stderr } = await run(command, [...options, 'test/engine/thread_count.ts']);
  expect(`${stdout}${stderr}`).toContain('ended');
});
