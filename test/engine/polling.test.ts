import { performance } from 'node:perf_hooks';
import { setImmediate as immediately } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { noGpu } from './support.ts';
import { openEngine } from './variants.ts';

test.skipIf(noGpu)('waiting for the device leaves the event loop of Node idle', async () => {
  const engine = await openEngine();
  const [a, b, out] = [engine.tensor([512, 512]), engine.tensor([512, 512]), engine.tensor([512, 512])];
  await engine.read(out);
  for (let i = 0; i < 4; i++) engine.matmul(out, a, b);
  const reading = engine.read(out);
  engine.flush();
  const before = performance.eventLoopUtilization();
  await reading;
  const { idle, active, utilization } = performance.eventLoopUtilization(before);
  // A fast device leaves too little to measure.
  if (idle + active > 100) expect(utilization).toBeLessThan(0.5);
  engine.destroy();
});

test.skipIf(noGpu)('setImmediate keeps its arguments, its promise form and its handle', async () => {
  expect(await immediately('value')).toBe('value');
  expect(await new Promise((resolve) => setImmediate(resolve, 'passed on'))).toBe('passed on');
  const handle = setImmediate(() => expect.unreachable());
  clearImmediate(handle);
  await immediately();
});
