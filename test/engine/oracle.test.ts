import { afterAll, describe, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { OPERATIONS } from './operations.ts';
import { engineVariants, expectOracle } from './support.ts';
import { openEngine } from './variants.ts';

describe.each(engineVariants)('operations agree with the f64 oracle, %s', (variant) => {
  const opened: Promise<Engine> = openEngine(variant);
  afterAll(async () => (await opened).destroy());

  test.each(OPERATIONS)('%s', async (_, program) => {
    await expectOracle(await opened, program, { absolute: 2e-5, relative: 2e-5 });
  });
});
