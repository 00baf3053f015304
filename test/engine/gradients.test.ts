import { afterAll, describe, test } from 'vitest';
import type { Engine, Tensor } from '../../src/engine/engine.ts';
import { Inputs } from './inputs.ts';
import { differences, engines, expectClose } from './support.ts';
import { openEngine } from './variants.ts';

type Input = { data: Float32Array; shape: readonly number[] };

const CLOSE = [2e-5, 2e-4] as const;

describe.each(engines)(
  'backward operations agree with central differences of the forward ones, %s',
  (name) => {
    const opened: Promise<Engine> = openEngine(name);
    afterAll(async () => (await opened).destroy());

    /** Uploads `inputs` and the weight of each output, runs `backward`, and compares what it returns with differences. */
    async function check(
      inputs: Input[],
      outShape: readonly number[],
      forward: (engine: Engine, out: Tensor, inputs: Tensor[]) => void,
      backward: (engine: Engine, dout: Tensor, inputs: Tensor[]) => Tensor[],
    ): Promise<void> {
      const engine = await opened;
      const weight = new Inputs('weight').floats(outShape.reduce((a, b) => a * b, 1));
      const tensors = inputs.map(({ data, shape }) => engine.upload(data, shape));
      const gradients = backward(engine, engine.upload(weight, outShape), tensors);
      for (let which = 0; which < gradients.length; which++) {
        const expected = differences(inputs, which, outShape, weight, forward);
        expectClose(await engine.read(gradients[which]), expected, ...CLOSE);
      }
    }

    function random(label: string, shape: readonly number[], scale = 1): Input {
      return {
        data: new Inputs(label).floats(
          shape.reduce((a, b) => a * b, 1),
          scale,
        ),
        shape,
      };
    }

    test('rmsnormBackward', async () => {
      await check(
        [random('x', [3, 10], 2), random('w', [10])],
        [3, 10],
        (engine, out, [x, w]) => engine.rmsnorm(out, x, w, 1e-5),
        (engine, dout, [x, w]) => {
          const dinp = engine.tensor([3, 10]);
          engine.rmsnormBackward(dinp, dout, x, w, 1e-5);
          return [dinp];
        },
      );
    });

    test('matmul: both gradients are matmuls of the transposed forms', async () => {
      await check(
        [random('a', [5, 6]), random('b', [7, 6])],
        [5, 7],
        (engine, out, [a, b]) => engine.matmul(out, a, b, { transposeB: true, scale: 0.5 }),
        (engine, dout, [a, b]) => {
          const [da, db] = [engine.tensor([5, 6]), engine.tensor([7, 6])];
          engine.matmul(da, dout, b, { scale: 0.5 });
          engine.matmul(db, dout, a, { transposeA: true, scale: 0.5 });
          return [da, db];
        },
      );
    });

    test('rope: the backward pass is the inverse rotation', async () => {
      const angles = new Inputs('angles').floats(9 * 4, 3);
      const cos = { data: angles.map(Math.cos), shape: [9, 4] };
      const sin = { data: angles.map(Math.sin), shape: [9, 4] };
      const positions = (engine: Engine) => engine.upload(Uint32Array.of(8, 0, 5), [3]);
      await check(
        [random('x', [3, 2, 8]), cos, sin],
        [3, 2, 8],
        (engine, out, [x, c, s]) => {
          engine.copy(out, x);
          engine.rope(out, c, s, positions(engine));
        },
        (engine, dout, [, c, s]) => {
          engine.rope(dout, c, s, positions(engine), true);
          return [dout];
        },
      );
    });

    test.each([
      [2, 5, 4, 2, 4, Infinity],
      [1, 9, 3, 3, 8, Infinity],
      [1, 11, 2, 1, 4, 3],
      [1, 37, 1, 1, 4, 9],
    ])(
      'attentionBackward of b %i, t %i, heads %i, kv_heads %i, head_dim %i within %d',
      async (b, t, heads, kvHeads, d, window) => {
        const lseOf = (engine: Engine) => engine.tensor([b, heads, t]);
        await check(
          [
            random('q', [b, t, heads, d], 2),
            random('k', [b, t, kvHeads, d], 2),
            random('v', [b, t, kvHeads, d]),
          ],
          [b, t, heads, d],
          (engine, out, [q, k, v]) => engine.attention(out, lseOf(engine), q, k, v, 0.6, window),
          (engine, dout, [q, k, v]) => {
            const [dq, dk, dv, out] = [q, k, v, q].map((like) => engine.tensor(like.shape));
            const lse = lseOf(engine);
            engine.attention(out, lse, q, k, v, 0.6, window);
            engine.attentionBackward(dq, dk, dv, dout, q, k, v, out, lse, 0.6, window);
            return [dq, dk, dv];
          },
        );
      },
    );

    test('swigluBackward', async () => {
      await check(
        [random('gate', [4, 9], 4), random('up', [4, 9])],
        [4, 9],
        (engine, out, [gate, up]) => engine.swiglu(out, gate, up),
        (engine, dout, [gate, up]) => {
          const [dgate, dup] = [engine.tensor([4, 9]), engine.tensor([4, 9])];
          engine.swigluBackward(dgate, dup, dout, gate, up);
          return [dgate, dup];
        },
      );
    });

    test('addBias: the gradient of the bias is a matmul of ones', async () => {
      await check(
        [random('bias', [5]), random('x', [7, 5])],
        [7, 5],
        (engine, out, [bias, x]) => {
          engine.copy(out, x);
          engine.addBias(out, bias);
        },
        (engine, dout) => {
          const [sum, dbias] = [engine.tensor([1, 5]), engine.tensor([5])];
          engine.matmul(sum, engine.upload(new Float32Array(7).fill(1), [7, 1]), dout, { transposeA: true });
          engine.copy(dbias, sum);
          return [dbias];
        },
      );
    });

    test('tokenLogpsBackward', async () => {
      const targets = (engine: Engine) => engine.upload(Uint32Array.of(3, 0, 10), [3]);
      await check(
        [random('logits', [3, 11], 5)],
        [3],
        (engine, out, [logits]) => engine.tokenLogps(out, engine.tensor([3]), logits, targets(engine)),
        (engine, dout, [logits]) => {
          const [logps, lse] = [engine.tensor([3]), engine.tensor([3])];
          engine.tokenLogps(logps, lse, logits, targets(engine));
          engine.tokenLogpsBackward(logits, dout, lse, targets(engine));
          return [logits];
        },
      );
    });

    test('tokenLogpsBackward in parts of the vocabulary', async () => {
      const targets = (engine: Engine) => engine.upload(Uint32Array.of(3, 0, 10, 7), [4]);
      const columns = [0, 4, 8].map((start) => ({ start, vocab: 11 }));
      const lseOf = (engine: Engine, out: Tensor, parts: readonly Tensor[]) => {
        const lse = engine.tensor([4]);
        parts.forEach((part, i) => {
          engine.tokenLogps(out, lse, part, targets(engine), columns[i]);
        });
        return lse;
      };
      await check(
        [4, 4, 3].map((width, i) => random(`logits ${i}`, [4, width], 5)),
        [4],
        (engine, out, parts) => void lseOf(engine, out, parts),
        (engine, dout, parts) => {
          const lse = lseOf(engine, engine.tensor([4]), parts);
          parts.forEach((part, i) => {
            engine.tokenLogpsBackward(part, dout, lse, targets(engine), columns[i]);
          });
          return parts;
        },
      );
    });

    test('maskedSumBackward', async () => {
      await check(
        [random('x', [3, 6]), random('mask', [3, 6])],
        [3],
        (engine, out, [x, mask]) => engine.maskedSum(out, x, mask),
        (engine, dout, [, mask]) => {
          const dinp = engine.tensor([3, 6]);
          engine.maskedSumBackward(dinp, dout, mask);
          return [dinp];
        },
      );
    });

    test.each(['sigmoid', 'ipo', 'hinge'] as const)(
      'dpo, %s: its own gradient, scaled, of the sum of its losses',
      async (loss) => {
        const options = { loss, beta: 0.1, scale: 0.5 };
        const p = 5;
        const inputs = [random('logps', [2 * p], 30), random('ref', [2 * p], 30), random('labels', [p], 0.5)];
        inputs[2].data.forEach((value, i, labels) => {
          labels[i] = value + 0.5;
        });
        const engine = await opened;
        const [logps, ref, labels] = inputs.map(({ data, shape }) => engine.upload(data, shape));
        const dlogps = engine.tensor([2 * p]);
        engine.dpo(engine.tensor([p]), dlogps, logps, ref, labels, options);
        const expected = differences(
          inputs,
          0,
          [p],
          new Float32Array(p).fill(0.5),
          (oracle, out, [x, r, q]) =>
            oracle.dpo(out, oracle.tensor([2 * p]), x, r, q, { ...options, scale: 1 }),
        );
        expectClose(await engine.read(dlogps), expected, ...CLOSE);
      },
    );

    test.each([false, true])(
      'policyGradient: its own gradient of the sum of its losses, weighKl %s',
      async (weighKl) => {
        const n = 24;
        const scales = [1, 1, 1, 2, 1];
        const inputs = scales.map((scale, i) => random(`policy gradient ${i}`, [n], scale));
        const options = { epsilonLow: 0.2, epsilonHigh: 0.3, beta: 0.3, weighKl };
        const engine = await opened;
        const [logps, old, ref, advantages, weights] = inputs.map(({ data, shape }) =>
          engine.upload(data, shape),
        );
        const dlogps = engine.tensor([n]);
        engine.policyGradient(engine.tensor([n]), dlogps, logps, old, ref, advantages, weights, options);
        const expected = differences(
          inputs,
          0,
          [n],
          new Float32Array(n).fill(1),
          (oracle, out, [x, o, r, a, w]) =>
            oracle.policyGradient(out, oracle.tensor([n]), x, o, r, a, w, options),
        );
        expectClose(await engine.read(dlogps), expected, ...CLOSE);
      },
    );

    test('columnProducts of a norm without weight: the gradient of the weight', async () => {
      await check(
        [random('w', [10]), random('x', [3, 10], 2)],
        [3, 10],
        (engine, out, [w, x]) => engine.rmsnorm(out, x, w, 1e-5),
        (engine, dout, [, x]) => {
          const [dweight, unit] = [engine.tensor([10]), engine.tensor([3, 10])];
          engine.rmsnorm(unit, x, engine.upload(new Float32Array(10).fill(1), [10]), 1e-5);
          engine.columnProducts(dweight, dout, unit);
          return [dweight];
        },
      );
    });

    test('scatterRows: the gradient of an embedding', async () => {
      const ids = Uint32Array.of(3, 1, 3, 4, 1);
      await check(
        [random('table', [6, 7])],
        [5, 7],
        (engine, out, [table]) => engine.embedding(out, engine.upload(ids, [5]), table),
        (engine, dout) => {
          const dtable = engine.tensor([6, 7]);
          const [distinct, starts] = [Uint32Array.of(1, 3, 4), Uint32Array.of(0, 2, 4, 5)];
          const places = engine.upload(Uint32Array.of(1, 4, 0, 2, 3), [5]);
          engine.scatterRows(dtable, dout, engine.upload(distinct, [3]), engine.upload(starts, [4]), places);
          return [dtable];
        },
      );
    });

    test('dropout: the same mask on the gradient', async () => {
      const options = { rate: 0.4, key: [1, 2], site: 3, step: 4 } as const;
      const streams = (engine: Engine) => engine.upload(Uint32Array.of(9, 8, 7), [3]);
      await check(
        [random('x', [3, 10])],
        [3, 10],
        (engine, out, [x]) => engine.dropout(out, x, streams(engine), options),
        (engine, dout) => {
          const dx = engine.tensor([3, 10]);
          engine.dropout(dx, dout, streams(engine), options);
          return [dx];
        },
      );
    });
  },
);
