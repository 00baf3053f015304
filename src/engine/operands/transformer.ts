import type { Checks, OwnTensor } from '../checks.ts';
import type { Tensor } from '../engine.ts';
import type { Given } from './given.ts';

/** Of the operations of a transformer, attention aside. */
export function transformerOperands<T extends OwnTensor>(checks: Checks<T>) {
  const { own, expectShape, expectRank, expectMatrix, expectF32 } = checks;

  function gather(operation: string, out: Tensor, rows: T, x: T) {
    const target = expectRank(operation, 'out', out, ['n', 'd']);
    expectShape(operation, 'out', target, [rows.shape[0], x.shape[1]]);
    return { out: target, x, rows, n: rows.shape[0], d: x.shape[1], count: x.shape[0] };
  }

  return {
    embedding(out: Tensor, ids: Tensor, table: Tensor) {
      const rows = expectRank('embedding', 'ids', ids, ['n'], 'u32');
      return gather('embedding', out, rows, expectMatrix('embedding', 'table', table, ['vocab', 'd']));
    },
    gatherRows(out: Tensor, x: Tensor, rows: Tensor) {
      const source = expectRank('gatherRows', 'x', x, ['n', 'd']);
      return gather('gatherRows', out, expectRank('gatherRows', 'rows', rows, ['b'], 'u32'), source);
    },
    rmsnorm(...[out, x, weight]: Given<'rmsnorm'>) {
      const source = expectRank('rmsnorm', 'x', x, ['n', 'd']);
      const [n, d] = source.shape;
      return {
        out: expectShape('rmsnorm', 'out', out, [n, d]),
        x: source,
        weight: expectShape('rmsnorm', 'weight', weight, [d]),
        n,
        d,
      };
    },
    rmsnormBackward(...[dinp, dout, x, weight]: Given<'rmsnormBackward'>) {
      const source = expectRank('rmsnormBackward', 'x', x, ['n', 'd']);
      const [n, d] = source.shape;
      return {
        dinp: expectShape('rmsnormBackward', 'dinp', dinp, [n, d]),
        dout: expectShape('rmsnormBackward', 'dout', dout, [n, d]),
        x: source,
        weight: expectShape('rmsnormBackward', 'weight', weight, [d]),
        n,
        d,
      };
    },
    columnProducts(out: Tensor, a: Tensor, b: Tensor) {
      const left = expectRank('columnProducts', 'a', a, ['n', 'd']);
      const [n, d] = left.shape;
      return {
        out: expectShape('columnProducts', 'out', out, [d]),
        a: left,
        b: expectShape('columnProducts', 'b', b, [n, d]),
        n,
        d,
      };
    },
    scatterRows(...[table, x, ids, starts, places]: Given<'scatterRows'>) {
      const target = expectRank('scatterRows', 'table', table, ['vocab', 'd']);
      const [vocab, d] = target.shape;
      const count = expectRank('scatterRows', 'x', x, ['n', 'd']).shape[0];
      const u = expectRank('scatterRows', 'ids', ids, ['u'], 'u32').shape[0];
      const p = expectRank('scatterRows', 'places', places, ['p'], 'u32').shape[0];
      return {
        table: target,
        x: expectShape('scatterRows', 'x', x, [count, d]),
        ids: own('scatterRows', 'ids', ids),
        starts: expectShape('scatterRows', 'starts', starts, [u + 1], 'u32'),
        places: own('scatterRows', 'places', places),
        u,
        p,
        d,
        vocab,
        count,
      };
    },
    dropout(...[out, x, streams, { rate }]: Given<'dropout'>) {
      if (!(rate >= 0 && rate < 1))
        throw new Error(`dropout: expected a rate from 0 to below 1, got ${rate}`);
      const source = expectRank('dropout', 'x', x, ['n', 'd']);
      const [n, d] = source.shape;
      return {
        out: expectShape('dropout', 'out', out, [n, d]),
        x: source,
        streams: expectShape('dropout', 'streams', streams, [n], 'u32'),
        /** Words of 24 bits below it are dropped. */
        below: Math.round(rate * 0x1000000),
        n,
        d,
      };
    },
    matmul(...[out, a, b, options = {}]: Given<'matmul'>) {
      const { transposeA, transposeB } = options;
      const left = expectRank('matmul', 'a', a, transposeA ? ['k', 'm'] : ['m', 'k']);
      const right = expectMatrix('matmul', 'b', b, transposeB ? ['n', 'k'] : ['k', 'n']);
      if (transposeA && right.dtype !== 'f32') {
        throw new Error(`matmul: expected b f32 where a is transposed, got ${right.dtype}`);
      }
      const [m, k] = transposeA ? [left.shape[1], left.shape[0]] : left.shape;
      const n = right.shape[transposeB ? 0 : 1];
      expectShape('matmul', 'b', right, transposeB ? [n, k] : [k, n], right.dtype);
      return { out: expectShape('matmul', 'out', out, [m, n]), a: left, b: right, m, n, k };
    },
    rope(...[x, cos, sin, positions]: Given<'rope'>) {
      const target = expectRank('rope', 'x', x, ['n', 'heads', 'head_dim']);
      const [n, heads, headDim] = target.shape;
      if (headDim % 2) throw new Error(`rope: expected an even head_dim, got ${headDim}`);
      const half = headDim / 2;
      const cosine = expectRank('rope', 'cos', cos, ['max_position', 'head_dim / 2']);
      const maxPosition = cosine.shape[0];
      expectShape('rope', 'cos', cosine, [maxPosition, half]);
      return {
        x: target,
        cos: cosine,
        sin: expectShape('rope', 'sin', sin, [maxPosition, half]),
        positions: expectShape('rope', 'positions', positions, [n], 'u32'),
        n,
        heads,
        half,
        maxPosition,
      };
    },
    swiglu(out: Tensor, gate: Tensor, up: Tensor) {
      const input = expectF32('swiglu', 'gate', gate);
      return {
        out: expectShape('swiglu', 'out', out, input.shape),
        gate: input,
        up: expectShape('swiglu', 'up', up, input.shape),
        n: input.length,
      };
    },
    swigluBackward(dgate: Tensor, dup: Tensor, dout: Tensor, gate: Tensor, up: Tensor) {
      const input = expectF32('swigluBackward', 'gate', gate);
      const { shape } = input;
      return {
        dgate: expectShape('swigluBackward', 'dgate', dgate, shape),
        dup: expectShape('swigluBackward', 'dup', dup, shape),
        dout: expectShape('swigluBackward', 'dout', dout, shape),
        gate: input,
        up: expectShape('swigluBackward', 'up', up, shape),
        n: input.length,
      };
    },
    add(out: Tensor, x: Tensor) {
      const target = expectF32('add', 'out', out);
      return { out: target, x: expectShape('add', 'x', x, target.shape), n: target.length };
    },
    addBias(out: Tensor, bias: Tensor) {
      const target = expectRank('addBias', 'out', out, ['n', 'd']);
      const [n, d] = target.shape;
      return { out: target, bias: expectShape('addBias', 'bias', bias, [d]), n, d };
    },
  };
}
