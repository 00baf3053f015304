/** The shapes each operation asks for: checked in one place for every engine. */
import type { Checks, OwnTensor } from './checks.ts';
import type { Engine, SampleOptions, Tensor, VocabColumns } from './engine.ts';

/** An operation's arguments. Scalars after the tensors are accepted, so that an engine passes on what it is given. */
type Given<K extends keyof Engine> = Engine[K] extends (...given: infer P) => unknown ? P : never;

const QUERY_AXES = ['b', 't', 'heads', 'head_dim'];
const KEY_AXES = ['b', 't', 'kv_heads', 'head_dim'];
const CACHE_AXES = ['b', 'max', 'kv_heads', 'head_dim'];

function expectHeads(operation: string, heads: number, kvHeads: number, headDim: number): void {
  if (heads % kvHeads) throw new Error(`${operation}: expected heads a multiple of ${kvHeads}, got ${heads}`);
  if (headDim % 4) throw new Error(`${operation}: expected head_dim a multiple of 4, got ${headDim}`);
}

/** Positions that a query of a sequence of `length` sees: `window`, where given, a whole number. */
function windowOf(operation: string, length: number, window = Infinity): number {
  if (!(window >= 1 && (window === Infinity || Number.isInteger(window)))) {
    throw new Error(`${operation}: expected window as a whole number above 0, got ${window}`);
  }
  return Math.max(1, Math.min(window, length));
}

/** `width` columns from `start` on, of `vocab`; all there are by default. */
function columnsOf(
  operation: string,
  width: number,
  { start, vocab }: VocabColumns = { start: 0, vocab: width },
) {
  if (!(start >= 0 && start + width <= vocab)) {
    throw new Error(`${operation}: expected columns within ${vocab}, got ${start} … ${start + width - 1}`);
  }
  return { width, start, vocab };
}

/** For each operation, a function of its tensors that returns them as the engine's own, and their sizes. */
export function operandsOf<T extends OwnTensor>(checks: Checks<T>) {
  const { own, expectShape, expectRank, expectMatrix, expectF32 } = checks;

  function gather(operation: string, out: Tensor, rows: T, x: T) {
    const target = expectRank(operation, 'out', out, ['n', 'd']);
    expectShape(operation, 'out', target, [rows.shape[0], x.shape[1]]);
    return { out: target, x, rows, n: rows.shape[0], d: x.shape[1], count: x.shape[0] };
  }

  return {
    own,
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
    attention(...[out, lse, q, k, v, , window]: Given<'attention'>) {
      const query = expectRank('attention', 'q', q, QUERY_AXES);
      const [b, t, heads, headDim] = query.shape;
      const kvHeads = expectRank('attention', 'k', k, KEY_AXES).shape[2];
      expectHeads('attention', heads, kvHeads, headDim);
      return {
        out: expectShape('attention', 'out', out, query.shape),
        lse: expectShape('attention', 'lse', lse, [b, heads, t]),
        q: query,
        k: expectShape('attention', 'k', k, [b, t, kvHeads, headDim]),
        v: expectShape('attention', 'v', v, [b, t, kvHeads, headDim]),
        b,
        t,
        heads,
        kvHeads,
        headDim,
        window: windowOf('attention', t, window),
      };
    },
    attentionBackward(...[dq, dk, dv, dout, q, k, v, out, lse, , window]: Given<'attentionBackward'>) {
      const operation = 'attentionBackward';
      const query = expectRank(operation, 'q', q, QUERY_AXES);
      const [b, t, heads, headDim] = query.shape;
      const kvHeads = expectRank(operation, 'k', k, KEY_AXES).shape[2];
      expectHeads(operation, heads, kvHeads, headDim);
      const keyShape = [b, t, kvHeads, headDim];
      return {
        q: query,
        k: expectShape(operation, 'k', k, keyShape),
        v: expectShape(operation, 'v', v, keyShape),
        dq: expectShape(operation, 'dq', dq, query.shape),
        dk: expectShape(operation, 'dk', dk, keyShape),
        dv: expectShape(operation, 'dv', dv, keyShape),
        dout: expectShape(operation, 'dout', dout, query.shape),
        out: expectShape(operation, 'out', out, query.shape),
        lse: expectShape(operation, 'lse', lse, [b, heads, t]),
        b,
        t,
        heads,
        kvHeads,
        headDim,
        window: windowOf(operation, t, window),
      };
    },
    cacheWrite(cache: Tensor, x: Tensor, start: Tensor) {
      const source = expectRank('cacheWrite', 'x', x, KEY_AXES);
      const [b, t, kvHeads, headDim] = source.shape;
      const max = expectRank('cacheWrite', 'cache', cache, CACHE_AXES).shape[1];
      return {
        cache: expectShape('cacheWrite', 'cache', cache, [b, max, kvHeads, headDim]),
        x: source,
        start: expectShape('cacheWrite', 'start', start, [b], 'u32'),
        b,
        t,
        max,
        width: kvHeads * headDim,
      };
    },
    attentionCached(...[out, q, kCache, vCache, lengths, , window]: Given<'attentionCached'>) {
      const operation = 'attentionCached';
      const query = expectRank(operation, 'q', q, ['b', 'heads', 'head_dim']);
      const [b, heads, headDim] = query.shape;
      const [, max, kvHeads] = expectRank(operation, 'kCache', kCache, CACHE_AXES).shape;
      expectHeads(operation, heads, kvHeads, headDim);
      const cacheShape = [b, max, kvHeads, headDim];
      return {
        out: expectShape(operation, 'out', out, query.shape),
        q: query,
        kCache: expectShape(operation, 'kCache', kCache, cacheShape),
        vCache: expectShape(operation, 'vCache', vCache, cacheShape),
        lengths: expectShape(operation, 'lengths', lengths, [b], 'u32'),
        b,
        max,
        heads,
        kvHeads,
        headDim,
        window: windowOf(operation, max, window),
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
    tokenLogps(...[logps, lse, logits, targets, columns]: Given<'tokenLogps'>) {
      const scores = expectRank('tokenLogps', 'logits', logits, ['n', 'columns']);
      const n = scores.shape[0];
      return {
        logps: expectShape('tokenLogps', 'logps', logps, [n]),
        lse: expectShape('tokenLogps', 'lse', lse, [n]),
        logits: scores,
        targets: expectShape('tokenLogps', 'targets', targets, [n], 'u32'),
        n,
        ...columnsOf('tokenLogps', scores.shape[1], columns),
      };
    },
    tokenLogpsBackward(...[logits, dlogps, lse, targets, columns]: Given<'tokenLogpsBackward'>) {
      const operation = 'tokenLogpsBackward';
      const scores = expectRank(operation, 'logits', logits, ['n', 'columns']);
      const n = scores.shape[0];
      return {
        logits: scores,
        dlogps: expectShape(operation, 'dlogps', dlogps, [n]),
        lse: expectShape(operation, 'lse', lse, [n]),
        targets: expectShape(operation, 'targets', targets, [n], 'u32'),
        n,
        ...columnsOf(operation, scores.shape[1], columns),
      };
    },
    maskedSum(out: Tensor, x: Tensor, mask: Tensor) {
      const source = expectRank('maskedSum', 'x', x, ['b', 't']);
      const [b, t] = source.shape;
      return {
        out: expectShape('maskedSum', 'out', out, [b]),
        x: source,
        mask: expectShape('maskedSum', 'mask', mask, [b, t]),
        b,
        t,
      };
    },
    maskedSumBackward(dinp: Tensor, dout: Tensor, mask: Tensor) {
      const weights = expectRank('maskedSumBackward', 'mask', mask, ['b', 't']);
      const [b, t] = weights.shape;
      return {
        dinp: expectShape('maskedSumBackward', 'dinp', dinp, [b, t]),
        dout: expectShape('maskedSumBackward', 'dout', dout, [b]),
        mask: weights,
        b,
        t,
      };
    },
    dpo(...[losses, dlogps, logps, refLogps, labels]: Given<'dpo'>) {
      const soft = expectRank('dpo', 'labels', labels, ['p']);
      const p = soft.shape[0];
      return {
        losses: expectShape('dpo', 'losses', losses, [p]),
        dlogps: expectShape('dpo', 'dlogps', dlogps, [2 * p]),
        logps: expectShape('dpo', 'logps', logps, [2 * p]),
        refLogps: expectShape('dpo', 'refLogps', refLogps, [2 * p]),
        labels: soft,
        p,
      };
    },
    policyGradient(...[losses, dlogps, logps, old, ref, advantages, weights]: Given<'policyGradient'>) {
      const values = expectRank('policyGradient', 'logps', logps, ['n']);
      const n = values.shape[0];
      const vector = (name: string, tensor: Tensor) => expectShape('policyGradient', name, tensor, [n]);
      return {
        tensors: [
          vector('losses', losses),
          vector('dlogps', dlogps),
          values,
          vector('oldLogps', old),
          vector('refLogps', ref),
          vector('advantages', advantages),
          vector('weights', weights),
        ],
        n,
      };
    },
    sumSquares(out: Tensor, x: Tensor) {
      const target = expectShape('sumSquares', 'out', out, [1]);
      const source = expectF32('sumSquares', 'x', x);
      return { out: target, x: source, n: source.length };
    },
    adamw(...[param, grad, m, v, gradSquares]: Given<'adamw'>) {
      const target = expectF32('adamw', 'param', param);
      const { shape } = target;
      return {
        param: target,
        m: expectShape('adamw', 'm', m, shape),
        v: expectShape('adamw', 'v', v, shape),
        grad: expectShape('adamw', 'grad', grad, shape),
        gradSquares: expectShape('adamw', 'gradSquares', gradSquares, [1]),
        n: target.length,
      };
    },
    sample(
      next: Tensor,
      logps: Tensor,
      logits: Tensor,
      streams: Tensor,
      lengths: Tensor,
      options: SampleOptions,
    ) {
      const { temperature, topK, topP } = options;
      if (!(temperature >= 0)) throw new Error(`sample: expected temperature >= 0, got ${temperature}`);
      if (!(Number.isInteger(topK) && topK >= 0)) throw new Error(`sample: expected topK >= 0, got ${topK}`);
      if (!(topP > 0)) throw new Error(`sample: expected topP > 0, got ${topP}`);
      const scores = expectRank('sample', 'logits', logits, ['b', 'vocab']);
      const [b, vocab] = scores.shape;
      return {
        next: expectShape('sample', 'next', next, [b], 'u32'),
        logps: expectShape('sample', 'logps', logps, [b]),
        logits: scores,
        streams: expectShape('sample', 'streams', streams, [b, 2], 'u32'),
        lengths: expectShape('sample', 'lengths', lengths, [b], 'u32'),
        b,
        vocab,
      };
    },
    repetitionPenalty(logits: Tensor, tokens: Tensor, lengths: Tensor, penalty: number) {
      const operation = 'repetitionPenalty';
      if (!(penalty > 0)) throw new Error(`${operation}: expected penalty > 0, got ${penalty}`);
      const scores = expectRank(operation, 'logits', logits, ['b', 'vocab']);
      const [b, vocab] = scores.shape;
      const max = expectRank(operation, 'tokens', tokens, ['b', 'max'], 'u32').shape[1];
      return {
        logits: scores,
        tokens: expectShape(operation, 'tokens', tokens, [b, max], 'u32'),
        lengths: expectShape(operation, 'lengths', lengths, [b], 'u32'),
        b,
        vocab,
        max,
      };
    },
    advance(
      tokens: Tensor,
      lengths: Tensor,
      finished: Tensor,
      current: Tensor,
      positions: Tensor,
      next: Tensor,
      eos: Tensor,
    ) {
      const grid = expectRank('advance', 'tokens', tokens, ['b', 'max'], 'u32');
      const [b, max] = grid.shape;
      return {
        tokens: grid,
        lengths: expectShape('advance', 'lengths', lengths, [b], 'u32'),
        finished: expectShape('advance', 'finished', finished, [b], 'u32'),
        current: expectShape('advance', 'current', current, [b], 'u32'),
        positions: expectShape('advance', 'positions', positions, [b], 'u32'),
        next: expectShape('advance', 'next', next, [b], 'u32'),
        eos: expectRank('advance', 'eos', eos, ['e'], 'u32'),
        b,
        max,
      };
    },
  };
}

export type Operands<T extends OwnTensor> = ReturnType<typeof operandsOf<T>>;
