import type { Checks, OwnTensor } from '../checks.ts';
import type { Tensor } from '../engine.ts';
import type { Given } from './given.ts';

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

/** Of attention and its cache of keys and values. */
export function attentionOperands<T extends OwnTensor>(checks: Checks<T>) {
  const { expectShape, expectRank } = checks;

  return {
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
  };
}
