import { afterAll, describe, expect, test } from 'vitest';
import type { Engine, Tensor } from '../../src/engine/engine.ts';
import { Inputs } from './inputs.ts';
import { engineVariants } from './support.ts';
import { values } from './values.ts';
import { openEngine } from './variants.ts';

const ROWS = 37;

/** Operations on `rows` rows; `pick` uploads the first `rows` of a fixed input. */
type Program = (
  engine: Engine,
  rows: number,
  pick: (label: string, width: number[], scale?: number) => Tensor,
  pickIntegers: (label: string, width: number[], below: number) => Tensor,
) => Tensor;

const PROGRAMS: readonly [string, Program][] = [
  [
    'rmsnorm',
    (engine, rows, pick) => {
      const out = engine.tensor([rows, 65]);
      engine.rmsnorm(out, pick('x', [65]), engine.upload(new Inputs('w').floats(65), [65]), 1e-5);
      return out;
    },
  ],
  ...[
    [64, 64],
    [8, 64],
    [64, 8],
    [172, 64],
    [33, 7],
  ].flatMap(([n, k]) =>
    [false, true].map((transposeB): [string, Program] => [
      `matmul k ${k} n ${n} N${transposeB ? 'T' : 'N'}`,
      (engine, rows, pick) => {
        const out = engine.tensor([rows, n]);
        const b = engine.upload(new Inputs('b').floats(n * k), transposeB ? [n, k] : [k, n]);
        engine.matmul(out, pick('a', [k]), b, { transposeB });
        return out;
      },
    ]),
  ),
  ...[
    [68, 172],
    [200, 64],
  ].map(([n, k]): [string, Program] => [
    `matmul of few rows k ${k} n ${n}`,
    (engine, rows, pick) => {
      const out = engine.tensor([rows, n]);
      const b = engine.upload(new Inputs('b').floats(n * k), [n, k]);
      engine.matmul(out, pick('a', [k]), b, { transposeB: true, fewRows: true });
      return out;
    },
  ]),
  [
    'attention',
    (engine, rows, pick) => {
      const shape = [rows, 9, 4, 8];
      const [q, k, v] = [pick('q', [9, 4, 8], 3), pick('k', [9, 2, 8], 3), pick('v', [9, 2, 8])];
      const out = engine.tensor(shape);
      const lse = engine.tensor([rows, 4, 9]);
      engine.attention(out, lse, q, k, v, 0.4);
      const [dq, dk, dv] = [q, k, v].map((x) => engine.tensor(x.shape));
      engine.attentionBackward(dq, dk, dv, pick('dout', [9, 4, 8]), q, k, v, out, lse, 0.4);
      engine.add(dq, out);
      return dq;
    },
  ],
  [
    'attentionCached',
    (engine, rows, pick, pickIntegers) => {
      const out = engine.tensor([rows, 4, 8]);
      const lengths = pickIntegers('lengths', [1], 11);
      const flat = engine.view(lengths, 0, [rows]);
      engine.attentionCached(out, pick('q', [4, 8]), pick('k', [11, 2, 8]), pick('v', [11, 2, 8]), flat, 0.4);
      return out;
    },
  ],
  [
    'tokenLogps',
    (engine, rows, pick, pickIntegers) => {
      const [logps, lse] = [engine.tensor([rows]), engine.tensor([rows])];
      const targets = engine.view(pickIntegers('targets', [1], 99), 0, [rows]);
      engine.tokenLogps(logps, lse, pick('logits', [99], 9), targets);
      return logps;
    },
  ],
  [
    'topTargets',
    (engine, rows, pick, pickIntegers) => {
      const [hits, most] = [engine.tensor([rows]), engine.tensor([rows])];
      const targets = engine.view(pickIntegers('targets', [1], 3), 0, [rows]);
      engine.topTargets(hits, most, pick('logits', [3], 9), targets);
      return hits;
    },
  ],
  [
    'tokenLogps in parts, and its gradient',
    (engine, rows, pick, pickIntegers) => {
      const [logps, lse] = [engine.tensor([rows]), engine.tensor([rows])];
      const targets = engine.view(pickIntegers('targets', [1], 99), 0, [rows]);
      const last = { start: 51, vocab: 99 };
      engine.tokenLogps(logps, lse, pick('first', [51], 9), targets, { start: 0, vocab: 99 });
      engine.tokenLogps(logps, lse, pick('last', [48], 9), targets, last);
      const dlogits = pick('last', [48], 9);
      engine.tokenLogpsBackward(dlogits, logps, lse, targets, last);
      return dlogits;
    },
  ],
  [
    'sample',
    (engine, rows, pick, pickIntegers) => {
      const next = engine.tensor([rows], 'u32');
      const lengths = engine.view(pickIntegers('lengths', [1], 99), 0, [rows]);
      const options = { temperature: 0.9, topK: 40, topP: 0.9, key: [5, 6] as const };
      const [logits, streams] = [pick('logits', [99], 3), pickIntegers('streams', [2], 999)];
      engine.sample(next, engine.tensor([rows]), logits, streams, lengths, options);
      return next;
    },
  ],
];

describe.each(engineVariants)('a row has the same bits whatever stands beside it, %s', (variant) => {
  const opened: Promise<Engine> = openEngine(variant);
  afterAll(async () => (await opened).destroy());

  test.each(PROGRAMS)('%s', async (_, program) => {
    const engine = await opened;
    const run = async (rows: number) => {
      const size = (width: number[]) => width.reduce((a, b) => a * b, 1);
      const pick = (label: string, width: number[], scale = 1) =>
        engine.upload(new Inputs(label).floats(rows * size(width), scale), [rows, ...width]);
      const pickIntegers = (label: string, width: number[], below: number) =>
        engine.upload(new Inputs(label).integers(rows * size(width), below), [rows, ...width]);
      return values(engine, program(engine, rows, pick, pickIntegers));
    };
    const all = await run(ROWS);
    for (const rows of [1, 2, 6]) {
      const few = await run(rows);
      expect(few).toEqual(all.slice(0, few.length));
    }
  });
});
