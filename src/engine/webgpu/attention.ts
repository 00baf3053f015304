import type { Engine } from '../engine.ts';
import { expectRank, expectShape } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { GpuTensor } from './memory.ts';
import { perElement, type Recorder } from './recorder.ts';

type AttentionOperations = Pick<Engine, 'attention' | 'attentionBackward' | 'cacheWrite' | 'attentionCached'>;

const QUERY_AXES = ['b', 't', 'heads', 'head_dim'];
const KEY_AXES = ['b', 't', 'kv_heads', 'head_dim'];
const CACHE_AXES = ['b', 'max', 'kv_heads', 'head_dim'];

function expectHeads(operation: string, heads: number, kvHeads: number, headDim: number): void {
  if (heads % kvHeads) throw new Error(`${operation}: expected heads a multiple of ${kvHeads}, got ${heads}`);
  if (headDim % 4) throw new Error(`${operation}: expected head_dim a multiple of 4, got ${headDim}`);
}

/** Invocations of a workgroup of the attention kernels. */
const GROUP = 32;

/**
 * Neighbouring queries, or keys, that one invocation takes. They share loads, which is what costs on a software driver;
 * a GPU wants many invocations with few registers each.
 */
function tileOf(headDim: number, software: boolean): number {
  return software ? Math.max(1, Math.min(8, Math.floor(128 / headDim))) : 1;
}

export function attentionOperations(recorder: Recorder, kernels: Kernels): AttentionOperations {
  return {
    attention(out, lse, q, k, v, scale) {
      const query = expectRank('attention', 'q', q, QUERY_AXES);
      const [b, t, heads, headDim] = query.shape;
      const kvHeads = expectRank('attention', 'k', k, KEY_AXES).shape[2];
      expectHeads('attention', heads, kvHeads, headDim);
      const tensors = [
        expectShape('attention', 'out', out, query.shape),
        expectShape('attention', 'lse', lse, [b, heads, t]),
        query,
        expectShape('attention', 'k', k, [b, t, kvHeads, headDim]),
        expectShape('attention', 'v', v, [b, t, kvHeads, headDim]),
      ];
      const params = { b, t, heads, kv_heads: kvHeads, scale };
      const queries = tileOf(headDim, kernels.software);
      const kernel = kernels.get('attention', { D4: headDim / 4, QUERIES: queries });
      recorder.dispatch(kernel, tensors, params, Math.ceil((b * heads * Math.ceil(t / queries)) / GROUP));
    },
    attentionBackward(dq, dk, dv, dout, q, k, v, out, lse, scale) {
      const operation = 'attentionBackward';
      const query = expectRank(operation, 'q', q, QUERY_AXES);
      const [b, t, heads, headDim] = query.shape;
      const kvHeads = expectRank(operation, 'k', k, KEY_AXES).shape[2];
      expectHeads(operation, heads, kvHeads, headDim);
      const keyShape = [b, t, kvHeads, headDim];
      const key = expectShape(operation, 'k', k, keyShape);
      const value = expectShape(operation, 'v', v, keyShape);
      const dquery = expectShape(operation, 'dq', dq, query.shape);
      const dkey = expectShape(operation, 'dk', dk, keyShape);
      const dvalue = expectShape(operation, 'dv', dv, keyShape);
      const gradient = expectShape(operation, 'dout', dout, query.shape);
      const result = expectShape(operation, 'out', out, query.shape);
      const rowLse = expectShape(operation, 'lse', lse, [b, heads, t]);
      const length = b * heads * t;
      const delta = new GpuTensor([b, heads, t], 'f32', recorder.pool.acquire(length * 4), 0, length, false);
      const params = { b, t, heads, kv_heads: kvHeads, scale };
      const tile = tileOf(headDim, kernels.software);
      const tiles = b * Math.ceil(t / tile);
      recorder.dispatch(
        kernels.get('attention_backward_q', { D4: headDim / 4, QUERIES: tile }),
        [dquery, delta, gradient, query, key, value, result, rowLse],
        params,
        Math.ceil((tiles * heads) / GROUP),
      );
      recorder.dispatch(
        kernels.get('attention_backward_kv', { D4: headDim / 4, KEYS: tile }),
        [dkey, dvalue, gradient, query, key, value, rowLse, delta],
        params,
        Math.ceil((tiles * kvHeads) / GROUP),
      );
      recorder.pool.release(delta.storage);
    },
    cacheWrite(cache, x, start) {
      const source = expectRank('cacheWrite', 'x', x, KEY_AXES);
      const [b, t, kvHeads, headDim] = source.shape;
      const max = expectRank('cacheWrite', 'cache', cache, CACHE_AXES).shape[1];
      const target = expectShape('cacheWrite', 'cache', cache, [b, max, kvHeads, headDim]);
      const from = expectShape('cacheWrite', 'start', start, [b], 'u32');
      recorder.settle(target);
      const params = { b, t, width: kvHeads * headDim, max_length: max };
      recorder.dispatch(
        kernels.get('cache_write'),
        [target, source, from],
        params,
        perElement(source.length),
      );
    },
    attentionCached(out, q, kCache, vCache, lengths, scale) {
      const operation = 'attentionCached';
      const query = expectRank(operation, 'q', q, ['b', 'heads', 'head_dim']);
      const [b, heads, headDim] = query.shape;
      const [, max, kvHeads] = expectRank(operation, 'kCache', kCache, CACHE_AXES).shape;
      expectHeads(operation, heads, kvHeads, headDim);
      const tensors = [
        expectShape(operation, 'out', out, query.shape),
        query,
        expectShape(operation, 'kCache', kCache, [b, max, kvHeads, headDim]),
        expectShape(operation, 'vCache', vCache, [b, max, kvHeads, headDim]),
        expectShape(operation, 'lengths', lengths, [b], 'u32'),
      ];
      const params = { b, max_length: max, heads, kv_heads: kvHeads, scale };
      const shared = heads / kvHeads;
      const queries = shared <= tileOf(headDim, kernels.software) ? shared : 1;
      const kernel = kernels.get('attention_cached', { D4: headDim / 4, QUERIES: queries });
      recorder.dispatch(kernel, tensors, params, Math.ceil((b * heads) / queries / GROUP));
    },
  };
}
