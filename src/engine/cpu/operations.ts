import type { Engine } from '../engine.ts';
import { operandsOf } from '../operands.ts';
import { matmulPlan } from './matmul.ts';
import { checks } from './memory.ts';
import type { Runner } from './runner.ts';

type Operations = Omit<
  Engine,
  | 'info'
  | 'tensor'
  | 'upload'
  | 'write'
  | 'copy'
  | 'zero'
  | 'view'
  | 'free'
  | 'read'
  | 'readU32'
  | 'flush'
  | 'destroy'
>;

/** Elements to a unit of element-wise work; assembly/policy/elementwise.ts holds the same number. */
const BLOCK = 4096;

const blocks = (n: number) => Math.ceil(n / BLOCK);

/** Every operation as a call of its kernel. */
export function operations(runner: Runner): Operations {
  const operands = operandsOf(checks);
  const { arena, exports } = runner;

  return {
    embedding(out, ids, table) {
      const given = operands.embedding(out, ids, table);
      const { n, d, count } = given;
      runner.run('gatherRows', n, [given.out.pointer, given.x.pointer, given.rows.pointer, d, count]);
    },
    gatherRows(out, x, rows) {
      const given = operands.gatherRows(out, x, rows);
      const { n, d, count } = given;
      runner.run('gatherRows', n, [given.out.pointer, given.x.pointer, given.rows.pointer, d, count]);
    },
    rmsnorm(out, x, weight, epsilon) {
      const given = operands.rmsnorm(out, x, weight);
      const { n, d } = given;
      runner.run('rmsnorm', n, [given.out.pointer, given.x.pointer, given.weight.pointer, d, epsilon]);
    },
    rmsnormBackward(dinp, dout, x, weight, epsilon) {
      const given = operands.rmsnormBackward(dinp, dout, x, weight);
      const pointers = [given.dinp, given.dout, given.x, given.weight].map(({ pointer }) => pointer);
      runner.run('rmsnormBackward', given.n, [...pointers, given.d, epsilon]);
    },
    matmul(out, a, b, options = {}) {
      const given = operands.matmul(out, a, b, options);
      const { m, n, k } = given;
      const { transposeA = false, transposeB = false, scale = 1, accumulate = false } = options;
      const plan = matmulPlan(m, n, k, transposeA, transposeB);
      const { rowSize, columnSize, units } = plan;
      const sizes = [given.out.pointer, given.a.pointer, given.b.pointer, m, n, k];
      const rest = [scale, Number(accumulate), rowSize, columnSize];
      if (plan.kernel === 'matmulDot') runner.run('matmulDot', units, [...sizes, ...rest]);
      else {
        const transposes = [Number(transposeA), Number(transposeB)];
        const scratch = exports.matmulTileScratch(columnSize);
        runner.run('matmulTile', units, [...sizes, ...transposes, ...rest], scratch);
      }
    },
    rope(x, cos, sin, positions, inverse = false) {
      const given = operands.rope(x, cos, sin, positions);
      const pointers = [given.x, given.cos, given.sin, given.positions].map(({ pointer }) => pointer);
      const { n, heads, half, maxPosition } = given;
      runner.run('rope', n, [...pointers, heads, half, maxPosition, inverse ? -1 : 1]);
    },
    attention(out, lse, q, k, v, scale) {
      const given = operands.attention(out, lse, q, k, v);
      const pointers = [given.out, given.lse, given.q, given.k, given.v].map(({ pointer }) => pointer);
      const { b, t, heads, kvHeads, headDim } = given;
      const scratch = exports.attentionScratch(t, headDim);
      runner.run('attention', b * kvHeads, [...pointers, t, heads, kvHeads, headDim, scale], scratch);
    },
    attentionBackward(dq, dk, dv, dout, q, k, v, out, lse, scale) {
      const given = operands.attentionBackward(dq, dk, dv, dout, q, k, v, out, lse);
      const tensors = [
        given.dq,
        given.dk,
        given.dv,
        given.dout,
        given.q,
        given.k,
        given.v,
        given.out,
        given.lse,
      ];
      const pointers = tensors.map(({ pointer }) => pointer);
      const { b, t, heads, kvHeads, headDim } = given;
      const scratch = exports.attentionBackwardScratch(t, headDim);
      runner.run('attentionBackward', b * kvHeads, [...pointers, t, heads, kvHeads, headDim, scale], scratch);
    },
    cacheWrite(cache, x, start) {
      const given = operands.cacheWrite(cache, x, start);
      const pointers = [given.cache.pointer, given.x.pointer, given.start.pointer];
      runner.run('cacheWrite', given.b, [...pointers, given.t, given.max, given.width]);
    },
    attentionCached(out, q, kCache, vCache, lengths, scale) {
      const given = operands.attentionCached(out, q, kCache, vCache, lengths);
      const tensors = [given.out, given.q, given.kCache, given.vCache, given.lengths];
      const pointers = tensors.map(({ pointer }) => pointer);
      const { b, max, heads, kvHeads, headDim } = given;
      const scratch = exports.attentionCachedScratch(max, heads / kvHeads);
      runner.run('attentionCached', b * kvHeads, [...pointers, max, heads, kvHeads, headDim, scale], scratch);
    },
    swiglu(out, gate, up) {
      const given = operands.swiglu(out, gate, up);
      const pointers = [given.out.pointer, given.gate.pointer, given.up.pointer];
      runner.run('swiglu', blocks(given.n), [...pointers, given.n]);
    },
    swigluBackward(dgate, dup, dout, gate, up) {
      const given = operands.swigluBackward(dgate, dup, dout, gate, up);
      const tensors = [given.dgate, given.dup, given.dout, given.gate, given.up];
      const pointers = tensors.map(({ pointer }) => pointer);
      runner.run('swigluBackward', blocks(given.n), [...pointers, given.n]);
    },
    add(out, x) {
      const given = operands.add(out, x);
      runner.run('add', blocks(given.n), [given.out.pointer, given.x.pointer, given.n]);
    },
    tokenLogps(logps, lse, logits, targets) {
      const given = operands.tokenLogps(logps, lse, logits, targets);
      const pointers = [given.logps, given.lse, given.logits, given.targets].map(({ pointer }) => pointer);
      runner.run('tokenLogps', given.n, [...pointers, given.vocab]);
    },
    tokenLogpsBackward(dlogits, dlogps, logits, lse, targets) {
      const given = operands.tokenLogpsBackward(dlogits, dlogps, logits, lse, targets);
      const tensors = [given.dlogits, given.dlogps, given.logits, given.lse, given.targets];
      const pointers = tensors.map(({ pointer }) => pointer);
      runner.run('tokenLogpsBackward', given.n, [...pointers, given.vocab]);
    },
    maskedSum(out, x, mask) {
      const given = operands.maskedSum(out, x, mask);
      runner.run('maskedSum', given.b, [given.out.pointer, given.x.pointer, given.mask.pointer, given.t]);
    },
    maskedSumBackward(dinp, dout, mask) {
      const given = operands.maskedSumBackward(dinp, dout, mask);
      const pointers = [given.dinp.pointer, given.dout.pointer, given.mask.pointer];
      runner.run('maskedSumBackward', given.b, [...pointers, given.t]);
    },
    dpo(losses, dlogps, logps, refLogps, labels, beta, scale) {
      const given = operands.dpo(losses, dlogps, logps, refLogps, labels);
      const tensors = [given.losses, given.dlogps, given.logps, given.refLogps, given.labels];
      const pointers = tensors.map(({ pointer }) => pointer);
      runner.run('dpo', given.p, [...pointers, given.p, beta, scale]);
    },
    sumSquares(out, x) {
      const given = operands.sumSquares(out, x);
      const count = blocks(given.n);
      const partial = arena.allocate(count * 8);
      runner.run('sumSquaresBlocks', count, [partial, given.x.pointer, given.n]);
      exports.sumBlocks(given.out.pointer, partial, count);
      arena.release(partial);
    },
    adamw(param, grad, m, v, gradSquares, options) {
      const given = operands.adamw(param, grad, m, v, gradSquares);
      const tensors = [given.param, given.grad, given.m, given.v, given.gradSquares];
      runner.run('adamw', blocks(given.n), [
        ...tensors.map(({ pointer }) => pointer),
        given.n,
        options.learningRate,
        options.beta1,
        options.beta2,
        options.epsilon,
        options.weightDecay,
        options.biasCorrection1,
        options.biasCorrection2,
        options.maxGradNorm,
      ]);
    },
    sample(next, logits, streams, lengths, options) {
      const given = operands.sample(next, logits, streams, lengths, options);
      const { temperature, topK, topP, key } = options;
      const pointers = [given.next, given.logits, given.streams, given.lengths].map(({ pointer }) => pointer);
      const scratch = exports.sampleScratch(given.vocab);
      runner.run('sample', given.b, [...pointers, given.vocab, temperature, topK, topP, ...key], scratch);
    },
    advance(tokens, lengths, finished, current, positions, next, eos) {
      const given = operands.advance(tokens, lengths, finished, current, positions, next, eos);
      const state = [given.tokens, given.lengths, given.finished, given.current, given.positions];
      const pointers = [...state, given.next, given.eos].map(({ pointer }) => pointer);
      runner.run('advance', given.b, [...pointers, given.max, given.eos.length]);
    },
  };
}
