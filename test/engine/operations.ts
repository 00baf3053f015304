/** One small program per operation, at odd sizes: what the tests compare with the oracle and between hosts. */
import type { Engine, Tensor } from '../../src/engine/engine.ts';
import type { WeightFormat } from '../../src/engine/formats.ts';
import { quantize } from '../../src/engine/quantize.ts';
import { Inputs } from './inputs.ts';

type Program = (engine: Engine) => Tensor[];

function inputsOf(engine: Engine, label: string) {
  const inputs = new Inputs(label);
  const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1);
  return {
    floats: (shape: number[], scale = 1) => engine.upload(inputs.floats(size(shape), scale), shape),
    weights: (shape: number[], format: WeightFormat) =>
      engine.uploadWeights(quantize(inputs.floats(size(shape), 0.2), format), shape, format),
    integers: (shape: number[], below: number) => engine.upload(inputs.integers(size(shape), below), shape),
  };
}

function matmul(m: number, n: number, k: number, transposeA: boolean, transposeB: boolean): Program {
  return (engine) => {
    const given = inputsOf(engine, `matmul ${m} ${n} ${k}`);
    const a = given.floats(transposeA ? [k, m] : [m, k]);
    const b = given.floats(transposeB ? [n, k] : [k, n]);
    const out = engine.tensor([m, n]);
    const sum = given.floats([m, n]);
    engine.matmul(out, a, b, { transposeA, transposeB });
    engine.matmul(sum, a, b, { transposeA, transposeB, scale: -0.25, accumulate: true });
    return [out, sum];
  };
}

const MATMUL_SIZES = [
  [1, 1, 1],
  [3, 5, 7],
  [64, 64, 64],
  [33, 172, 65],
  [130, 8, 64],
  [64, 200, 8],
  [12, 36, 300],
  [8, 64, 1000],
] as const;

const matmuls = MATMUL_SIZES.flatMap(([m, n, k]) =>
  [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ].map(([ta, tb]): [string, Program] => [
    `matmul ${m}×${k}×${n} ${ta ? 'T' : 'N'}${tb ? 'T' : 'N'}`,
    matmul(m, n, k, ta, tb),
  ]),
);

/** Products as decoding asks for them. */
const few = (['f32', 'f16', 'nf4'] as const).flatMap((format) =>
  [
    [1, 12, 132],
    [5, 68, 76],
  ].map(([n, out, width]): [string, Program] => [
    `matmul of few rows in ${format} ${n}×${width}×${out}`,
    (engine) => {
      const given = inputsOf(engine, `few rows ${format} ${n}`);
      const weight = format === 'f32' ? given.floats([out, width]) : given.weights([out, width], format);
      const x = given.floats([n, width]);
      const y = engine.tensor([n, out]);
      const sum = given.floats([n, out]);
      engine.matmul(y, x, weight, { transposeB: true, fewRows: true });
      engine.matmul(sum, x, weight, { transposeB: true, fewRows: true, scale: -0.25, accumulate: true });
      return [y, sum];
    },
  ]),
);

/** A linear layer of frozen weights, its gradient and their rows, at a size for each kernel. */
const frozen = (['f16', 'bf16', 'nf4'] as const).flatMap((format) =>
  [
    [9, 8, 12],
    [5, 7, 13],
  ].map(([n, out, width]): [string, Program] => [
    `weights in ${format} ${n}×${width}×${out}`,
    (engine) => {
      const given = inputsOf(engine, `weights ${format} ${n}`);
      const weight = given.weights([out, width], format);
      const y = engine.tensor([n, out]);
      const dx = engine.tensor([n, width]);
      const rows = engine.tensor([n, width]);
      engine.matmul(y, given.floats([n, width]), weight, { transposeB: true });
      engine.matmul(dx, given.floats([n, out]), weight);
      engine.embedding(rows, given.integers([n], out), weight);
      return [y, dx, rows];
    },
  ]),
);

/** Sizes [b, t, heads, kv_heads, head_dim, window]. */
const ATTENTION_SIZES = [
  [1, 1, 1, 1, 4, Infinity],
  [2, 7, 8, 4, 8, Infinity],
  [3, 33, 6, 2, 12, Infinity],
  [1, 70, 2, 1, 64, Infinity],
  [2, 7, 4, 2, 8, 1],
  [3, 33, 6, 2, 12, 5],
  [1, 70, 2, 1, 64, 8],
  [1, 70, 4, 2, 8, 37],
  [2, 19, 2, 1, 8, 100],
] as const;

const attentions = ATTENTION_SIZES.map(([b, t, heads, kvHeads, d, window]): [string, Program] => [
  `attention ${[b, t, heads, kvHeads, d]} within ${window}`,
  (engine) => {
    const given = inputsOf(engine, `attention ${t}`);
    const q = given.floats([b, t, heads, d], 2);
    const k = given.floats([b, t, kvHeads, d], 2);
    const v = given.floats([b, t, kvHeads, d]);
    const dout = given.floats([b, t, heads, d]);
    const out = engine.tensor(q.shape);
    const lse = engine.tensor([b, heads, t]);
    engine.attention(out, lse, q, k, v, 0.7, window);
    const [dq, dk, dv] = [q, k, v].map((x) => engine.tensor(x.shape));
    engine.attentionBackward(dq, dk, dv, dout, q, k, v, out, lse, 0.7, window);
    return [out, lse, dq, dk, dv];
  },
]);

/** Rows whose largest logit is the target's, comes twice, first or second, or is another's. */
function topRows(n: number, vocab: number) {
  const values = Float32Array.from({ length: n * vocab }, (_, i) => ((i * 7919) % 1009) / 500 - 2);
  const targets = Uint32Array.from({ length: n }, (_, row) => (row * 37 + 5) % vocab);
  targets.forEach((target, row) => {
    const other = (target + 1 + row * 13) % vocab;
    if (row % 3 > 0) values[row * vocab + target] = 3;
    if (row % 3 > 1) values[row * vocab + other] = 3;
  });
  return { values, targets };
}

/** What each program returns is all floats or token ids that do not hang on rounding. */
export const OPERATIONS: readonly [string, Program][] = [
  ...matmuls,
  ...few,
  ...frozen,
  ...attentions,
  [
    'embedding',
    (engine) => {
      const given = inputsOf(engine, 'embedding');
      const out = engine.tensor([9, 13]);
      engine.embedding(out, given.integers([9], 11), given.floats([11, 13]));
      return [out];
    },
  ],
  [
    'gatherRows',
    (engine) => {
      const given = inputsOf(engine, 'gatherRows');
      const out = engine.tensor([5, 70]);
      engine.gatherRows(out, given.floats([40, 70]), given.integers([5], 40));
      return [out];
    },
  ],
  ...[
    [1, 3],
    [17, 64],
    [70, 129],
  ].map(([n, d]): [string, Program] => [
    `rmsnorm ${n}×${d}`,
    (engine) => {
      const given = inputsOf(engine, `rmsnorm ${n}`);
      const x = given.floats([n, d], 3);
      const weight = given.floats([d]);
      const out = engine.tensor([n, d]);
      const dinp = given.floats([n, d]);
      engine.rmsnorm(out, x, weight, 1e-5);
      engine.rmsnormBackward(dinp, given.floats([n, d]), x, weight, 1e-5);
      return [out, dinp];
    },
  ]),
  [
    'rope',
    (engine) => {
      const given = inputsOf(engine, 'rope');
      const cos = given.floats([20, 3]);
      const sin = given.floats([20, 3]);
      const positions = given.integers([7], 20);
      const forward = given.floats([7, 5, 6]);
      const backward = given.floats([7, 5, 6]);
      engine.rope(forward, cos, sin, positions);
      engine.rope(backward, cos, sin, positions, true);
      return [forward, backward];
    },
  ],
  [
    'cacheWrite, attentionCached',
    (engine) => {
      const given = inputsOf(engine, 'cache');
      const shape = [3, 13, 2, 8];
      const k = given.floats(shape, 2);
      const v = engine.tensor(shape);
      engine.cacheWrite(k, given.floats([3, 4, 2, 8]), engine.upload(Uint32Array.of(0, 9, 4), [3]));
      engine.cacheWrite(v, given.floats([3, 13, 2, 8]), engine.tensor([3], 'u32'));
      const out = engine.tensor([3, 6, 8]);
      engine.attentionCached(
        out,
        given.floats([3, 6, 8], 2),
        k,
        v,
        engine.upload(Uint32Array.of(1, 13, 6), [3]),
        0.35,
      );
      const near = engine.tensor([3, 6, 8]);
      const lengths = engine.upload(Uint32Array.of(2, 13, 5), [3]);
      engine.attentionCached(near, given.floats([3, 6, 8], 2), k, v, lengths, 0.35, 5);
      return [k, v, out, near];
    },
  ],
  ...[
    [64, 4, 2, Infinity],
    [12, 6, 2, Infinity],
    [128, 2, 1, 150],
  ].map(([d, heads, kvHeads, window]): [string, Program] => [
    `attentionCached over many keys, ${[d, heads, kvHeads]} within ${window}`,
    (engine) => {
      const given = inputsOf(engine, `many keys ${d}`);
      const shape = [5, 270, kvHeads, d];
      const out = engine.tensor([5, heads, d]);
      const query = given.floats([5, heads, d], 2);
      const lengths = engine.upload(Uint32Array.of(1, 128, 129, 200, 270), [5]);
      engine.attentionCached(
        out,
        query,
        given.floats(shape, 2),
        given.floats(shape),
        lengths,
        d ** -0.5,
        window,
      );
      return [out];
    },
  ]),
  [
    'swiglu',
    (engine) => {
      const given = inputsOf(engine, 'swiglu');
      const shape = [11, 37];
      const gate = given.floats(shape, 20);
      const up = given.floats(shape);
      const [out, dgate, dup] = [0, 1, 2].map(() => engine.tensor(shape));
      engine.swiglu(out, gate, up);
      engine.swigluBackward(dgate, dup, given.floats(shape), gate, up);
      return [out, dgate, dup];
    },
  ],
  [
    'add',
    (engine) => {
      const given = inputsOf(engine, 'add');
      const out = given.floats([301]);
      engine.add(out, given.floats([301]));
      return [out];
    },
  ],
  ...[
    [1, 3],
    [9, 64],
    [70, 37],
  ].map(([n, d]): [string, Program] => [
    `addBias ${n}×${d}`,
    (engine) => {
      const given = inputsOf(engine, `addBias ${n}`);
      const out = given.floats([n, d]);
      engine.addBias(out, given.floats([d]));
      return [out];
    },
  ]),
  ...[
    [1, 2],
    [19, 512],
    [70, 1003],
  ].map(([n, vocab]): [string, Program] => [
    `tokenLogps ${n}×${vocab}`,
    (engine) => {
      const given = inputsOf(engine, `tokenLogps ${n}`);
      const logits = given.floats([n, vocab], 15);
      const targets = given.integers([n], vocab);
      const logps = engine.tensor([n]);
      const lse = engine.tensor([n]);
      engine.tokenLogps(logps, lse, logits, targets);
      engine.tokenLogpsBackward(logits, given.floats([n]), lse, targets);
      return [logps, lse, logits];
    },
  ]),
  [
    'tokenLogps in parts of the vocabulary',
    (engine) => {
      const given = inputsOf(engine, 'tokenLogps in parts');
      const [n, vocab] = [19, 300];
      const targets = given.integers([n], vocab);
      const dlogps = given.floats([n]);
      const logps = engine.tensor([n]);
      const lse = engine.tensor([n]);
      const parts = [128, 129, 43].map((width, i) => ({
        logits: given.floats([n, width], 15),
        columns: { start: [0, 128, 257][i], vocab },
      }));
      for (const { logits, columns } of parts) engine.tokenLogps(logps, lse, logits, targets, columns);
      for (const { logits, columns } of parts) {
        engine.tokenLogpsBackward(logits, dlogps, lse, targets, columns);
      }
      return [logps, lse, ...parts.map(({ logits }) => logits)];
    },
  ],
  ...[
    [5, 33],
    [67, 512],
  ].map(([n, vocab]): [string, Program] => [
    `topTargets ${n}×${vocab}`,
    (engine) => {
      const given = inputsOf(engine, `topTargets ${n}`);
      const { values, targets } = topRows(n, vocab);
      const logits = engine.upload(values, [n, vocab]);
      const [hits, most] = [engine.tensor([n]), engine.tensor([n])];
      engine.topTargets(hits, most, logits, engine.upload(targets, [n]));
      const random = engine.tensor([n]);
      engine.topTargets(random, engine.tensor([n]), given.floats([n, vocab]), given.integers([n], vocab));
      return [hits, most, random];
    },
  ]),
  [
    'topTargets in parts of the vocabulary',
    (engine) => {
      const [n, vocab] = [40, 300];
      const { values, targets } = topRows(n, vocab);
      const [hits, most] = [engine.tensor([n]), engine.tensor([n])];
      const ids = engine.upload(targets, [n]);
      for (const [start, width] of [
        [0, 128],
        [128, 129],
        [257, 43],
      ]) {
        const part = Float32Array.from(
          { length: n * width },
          (_, i) => values[Math.floor(i / width) * vocab + start + (i % width)],
        );
        engine.topTargets(hits, most, engine.upload(part, [n, width]), ids, { start, vocab });
      }
      return [hits, most];
    },
  ],
  [
    'maskedSum',
    (engine) => {
      const given = inputsOf(engine, 'maskedSum');
      const mask = engine.upload(
        Float32Array.from({ length: 5 * 67 }, (_, i) => (i % 3 ? 1 : 0)),
        [5, 67],
      );
      const out = engine.tensor([5]);
      const dinp = engine.tensor([5, 67]);
      engine.maskedSum(out, given.floats([5, 67]), mask);
      engine.maskedSumBackward(dinp, given.floats([5]), mask);
      return [out, dinp];
    },
  ],
  ...(['sigmoid', 'ipo', 'hinge'] as const).map((loss): [string, Program] => [
    `dpo, ${loss}`,
    (engine) => {
      const given = inputsOf(engine, 'dpo');
      const labels = engine.upload(
        Float32Array.from({ length: 9 }, (_, i) => [0, 1, 0.3][i % 3]),
        [9],
      );
      const losses = engine.tensor([9]);
      const dlogps = engine.tensor([18]);
      engine.dpo(losses, dlogps, given.floats([18], 60), given.floats([18], 60), labels, {
        loss,
        beta: 0.2,
        scale: 1 / 9,
      });
      return [losses, dlogps];
    },
  ]),
  ...[false, true].map((weighKl): [string, Program] => [
    `policyGradient${weighKl ? ', its divergence weighed by the ratio' : ''}`,
    (engine) => {
      const given = inputsOf(engine, 'policyGradient');
      const [losses, dlogps] = [engine.tensor([131]), engine.tensor([131])];
      const logps = given.floats([131], 2);
      const [old, ref] = [given.floats([131], 2), given.floats([131], 2)];
      const options = { epsilonLow: 0.2, epsilonHigh: 0.3, beta: 0.04, weighKl };
      const [advantages, weights] = [given.floats([131], 2), given.floats([131])];
      engine.policyGradient(losses, dlogps, logps, old, ref, advantages, weights, options);
      return [losses, dlogps];
    },
  ]),
  [
    'columnProducts',
    (engine) => {
      const given = inputsOf(engine, 'columnProducts');
      const out = given.floats([37]);
      engine.columnProducts(out, given.floats([51, 37]), given.floats([51, 37]));
      return [out];
    },
  ],
  [
    'scatterRows',
    (engine) => {
      const given = inputsOf(engine, 'scatterRows');
      const table = given.floats([11, 13]);
      const ids = engine.upload(Uint32Array.of(2, 10, 0), [3]);
      const starts = engine.upload(Uint32Array.of(0, 3, 4, 6), [4]);
      const places = engine.upload(Uint32Array.of(0, 4, 6, 1, 3, 5), [6]);
      engine.scatterRows(table, given.floats([7, 13]), ids, starts, places);
      return [table];
    },
  ],
  ...[0, 0.1, 0.75].map((rate): [string, Program] => [
    `dropout ${rate}`,
    (engine) => {
      const given = inputsOf(engine, 'dropout');
      const [out, sum] = [engine.tensor([9, 34]), given.floats([9, 34])];
      const x = given.floats([9, 34], 3);
      const streams = given.integers([9], 0xffffffff);
      const options = { rate, key: [7, 0xfedcba98], site: 12, step: 5 } as const;
      engine.dropout(out, x, streams, options);
      engine.dropout(sum, x, streams, { ...options, accumulate: true });
      return [out, sum];
    },
  ]),
  ...[1, 1024, 5000, 1_200_000].map((n): [string, Program] => [
    `sumSquares ${n}`,
    (engine) => {
      const out = engine.tensor([1]);
      engine.sumSquares(out, inputsOf(engine, 'sumSquares').floats([n]));
      return [out];
    },
  ]),
  ...[0.5, Number.POSITIVE_INFINITY].map((maxGradNorm): [string, Program] => [
    `adamw, norm at most ${maxGradNorm}`,
    (engine) => {
      const given = inputsOf(engine, 'adamw');
      const [param, m, v] = [given.floats([77]), engine.tensor([77]), engine.tensor([77])];
      const squares = engine.tensor([1]);
      for (let step = 1; step <= 3; step++) {
        const grad = given.floats([77]);
        engine.sumSquares(squares, grad);
        engine.adamw(param, grad, m, v, squares, {
          learningRate: 0.01,
          beta1: 0.9,
          beta2: 0.999,
          epsilon: 1e-8,
          weightDecay: 0.1,
          biasCorrection1: 1 - 0.9 ** step,
          biasCorrection2: 1 - 0.999 ** step,
          maxGradNorm,
        });
      }
      return [param, m, v];
    },
  ]),
  ...[
    { temperature: 0, topK: 0, topP: 1 },
    { temperature: 1, topK: 0, topP: 1 },
    { temperature: 0.7, topK: 20, topP: 1 },
    { temperature: 1.3, topK: 0, topP: 0.8 },
    { temperature: 1, topK: 50, topP: 0.9 },
  ].map(({ temperature, topK, topP }): [string, Program] => [
    `sample at temperature ${temperature}, top-k ${topK}, top-p ${topP}`,
    (engine) => {
      const given = inputsOf(engine, 'sample');
      const logits = given.floats([70, 333], 4);
      const streams = given.integers([70, 2], 1000);
      const next = engine.tensor([70], 'u32');
      const logps = engine.tensor([70]);
      const key = [123, 0xfedcba98] as const;
      const lengths = given.integers([70], 500);
      engine.sample(next, logps, logits, streams, lengths, { temperature, topK, topP, key });
      return [next, logps];
    },
  ]),
  ...[0.8, 1.3].map((penalty): [string, Program] => [
    `repetitionPenalty ${penalty}`,
    (engine) => {
      const given = inputsOf(engine, 'repetitionPenalty');
      const logits = given.floats([9, 45], 4);
      engine.repetitionPenalty(logits, given.integers([9, 70], 45), given.integers([9], 70), penalty);
      return [logits];
    },
  ]),
  [
    'advance',
    (engine) => {
      const tokens = engine.upload(
        Uint32Array.from({ length: 20 }, (_, i) => 10 + i),
        [5, 4],
      );
      const lengths = engine.upload(Uint32Array.of(1, 2, 3, 2, 4), [5]);
      const finished = engine.upload(Uint32Array.of(0, 0, 0, 1, 1), [5]);
      const current = engine.tensor([5], 'u32');
      const positions = engine.tensor([5], 'u32');
      const eos = engine.upload(Uint32Array.of(2, 7), [2]);
      const next = engine.upload(Uint32Array.of(5, 7, 6, 8, 9), [5]);
      engine.advance(tokens, lengths, finished, current, positions, next, eos);
      return [tokens, lengths, finished, current, positions];
    },
  ],
];
