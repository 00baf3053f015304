import type { Engine } from '../engine.ts';
import { operands } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { GpuTensor } from './memory.ts';
import { perElement, type Recorder } from './recorder.ts';

type AttentionOperations = Pick<Engine, 'attention' | 'attentionBackward' | 'cacheWrite' | 'attentionCached'>;

/** Invocations of a workgroup of the attention kernels. */
const GROUP = 32;
/** Those of a workgroup that shares one query. */
const LANES = 128;

/**
 * Neighbouring queries, or keys, that one invocation takes. They share loads, which is what costs on a software driver;
 * a GPU wants many invocations with few registers each.
 */
function tileOf(headDim: number, software: boolean): number {
  return software ? Math.max(1, Math.min(8, Math.floor(128 / headDim))) : 1;
}

export function attentionOperations(recorder: Recorder, kernels: Kernels): AttentionOperations {
  return {
    attention(...given) {
      const scale = given[5];
      const { out, lse, q, k, v, b, t, heads, kvHeads, headDim, window } = operands.attention(...given);
      const params = { b, t, heads, kv_heads: kvHeads, scale, window };
      const queries = tileOf(headDim, kernels.software);
      const kernel = kernels.get('attention', { D4: headDim / 4, QUERIES: queries });
      const groups = Math.ceil((b * heads * Math.ceil(t / queries)) / GROUP);
      recorder.dispatch(kernel, [out, lse, q, k, v], params, groups);
    },
    attentionBackward(...given) {
      const scale = given[9];
      const found = operands.attentionBackward(...given);
      const { dq, dk, dv, dout, q, k, v, out, lse, b, t, heads, kvHeads, headDim, window } = found;
      const length = b * heads * t;
      const delta = new GpuTensor([b, heads, t], 'f32', recorder.pool.acquire(length * 4), 0, length, false);
      const params = { b, t, heads, kv_heads: kvHeads, scale, window };
      const tile = tileOf(headDim, kernels.software);
      const tiles = b * Math.ceil(t / tile);
      recorder.dispatch(
        kernels.get('attention_backward_q', { D4: headDim / 4, QUERIES: tile }),
        [dq, delta, dout, q, k, v, out, lse],
        params,
        Math.ceil((tiles * heads) / GROUP),
      );
      recorder.dispatch(
        kernels.get('attention_backward_kv', { D4: headDim / 4, KEYS: tile }),
        [dk, dv, dout, q, k, v, lse, delta],
        params,
        Math.ceil((tiles * kvHeads) / GROUP),
      );
      recorder.pool.release(delta.storage);
    },
    cacheWrite(...given) {
      const { cache, x, start, b, t, max, width } = operands.cacheWrite(...given);
      recorder.settle(cache);
      const params = { b, t, width, max_length: max };
      recorder.dispatch(kernels.get('cache_write'), [cache, x, start], params, perElement(x.length));
    },
    attentionCached(...given) {
      const scale = given[5];
      const found = operands.attentionCached(...given);
      const { out, q, kCache, vCache, lengths, b, max, heads, kvHeads, headDim, window } = found;
      const params = { b, max_length: max, heads, kv_heads: kvHeads, scale, window };
      if (!kernels.software && headDim / 4 <= LANES) {
        const kernel = kernels.get('attention_cached_shared', { D4: headDim / 4 });
        recorder.dispatch(kernel, [out, q, kCache, vCache, lengths], params, b * heads);
        return;
      }
      const shared = heads / kvHeads;
      const queries = shared <= tileOf(headDim, kernels.software) ? shared : 1;
      const kernel = kernels.get('attention_cached', { D4: headDim / 4, QUERIES: queries });
      const groups = Math.ceil((b * heads) / queries / GROUP);
      recorder.dispatch(kernel, [out, q, kCache, vCache, lengths], params, groups);
    },
  };
}
