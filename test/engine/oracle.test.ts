import { afterAll, describe, expect, test } from 'vitest';
import { checks } from '../../src/engine/cpu/memory.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { operandsOf } from '../../src/engine/operands.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { OPERATIONS } from './operations.ts';
import { engineVariants, expectOracle } from './support.ts';
import { openEngine } from './variants.ts';

test('every operation is among those compared', () => {
  const called = new Set<PropertyKey>();
  const oracle = new ReferenceEngine();
  const watched = new Proxy<Engine>(oracle, {
    get(target, name) {
      called.add(name);
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  for (const [, program] of OPERATIONS) program(watched);
  const missing = Object.keys(operandsOf(checks)).filter((operation) => !called.has(operation));
  expect(missing).toEqual([]);
});

describe.each(engineVariants)('operations agree with the f64 oracle, %s', (variant) => {
  const opened: Promise<Engine> = openEngine(variant);
  afterAll(async () => (await opened).destroy());

  test.each(OPERATIONS)('%s', async (_, program) => {
    await expectOracle(await opened, program, { absolute: 2e-5, relative: 2e-5 });
  });
});
