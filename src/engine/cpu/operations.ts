import { DPO_LOSSES, type Engine, type TensorOperation } from '../engine.ts';
import { operandsOf } from '../operands.ts';
import { formatOf } from './formats.ts';
import { matmulPlan } from './matmul.ts';
import { type CpuTensor, checks } from './memory.ts';
import type { KernelRunner } from './runner.ts';
import type { KernelName } from './wasm.ts';

/** Elements to a unit of element-wise work; assembly/policy/elementwise.ts holds the same number. */
const BLOCK = 4096;

/** Columns to a unit of columnProducts; assembly/policy/rows.ts holds the same number. */
const COLUMNS = 16;

/** About how many arithmetic operations an exp comes to. */
const EXP = 20;

/** Every operation as a call of its kernel. */
export function operations(runner: KernelRunner): Omit<Engine, 'info' | 'asynchronous' | TensorOperation> {
  const operands = operandsOf(checks);
  const { arena, exports, threads } = runner;

  /** A kernel's arguments are its tensors and then the numbers. */
  function run(
    kernel: KernelName,
    units: number,
    work: number,
    tensors: readonly CpuTensor[],
    numbers: readonly number[],
    scratchBytes?: number,
  ): void {
    const pointers = tensors.map(({ pointer }) => pointer);
    runner.run(kernel, units, [...pointers, ...numbers], work, scratchBytes);
  }

  function gather(given: ReturnType<typeof operands.gatherRows>): void {
    const { out, x, rows, n, d, count } = given;
    const scratch = exports.gatherRowsScratch(d);
    run('gatherRows', n, n * d, [out, x, rows], [d, count, formatOf(x)], scratch);
  }

  /** `n` elements at about `cost` arithmetic operations each. */
  function elementwise(
    kernel: KernelName,
    n: number,
    cost: number,
    tensors: readonly CpuTensor[],
    numbers: readonly number[] = [],
  ): void {
    run(kernel, Math.ceil(n / BLOCK), n * cost, tensors, [n, ...numbers]);
  }

  return {
    embedding(...given) {
      gather(operands.embedding(...given));
    },
    gatherRows(...given) {
      gather(operands.gatherRows(...given));
    },
    rmsnorm(...given) {
      const epsilon = given[3];
      const { out, x, weight, n, d } = operands.rmsnorm(...given);
      run('rmsnorm', n, 4 * n * d, [out, x, weight], [d, epsilon]);
    },
    rmsnormBackward(...given) {
      const epsilon = given[4];
      const { dinp, dout, x, weight, n, d } = operands.rmsnormBackward(...given);
      run('rmsnormBackward', n, 8 * n * d, [dinp, dout, x, weight], [d, epsilon]);
    },
    columnProducts(...given) {
      const { out, a, b, n, d } = operands.columnProducts(...given);
      run('columnProducts', Math.ceil(d / COLUMNS), 2 * n * d, [out, a, b], [n, d]);
    },
    scatterRows(...given) {
      const { table, x, ids, starts, places, u, p, d, vocab, count } = operands.scatterRows(...given);
      run('scatterRows', u, p * d, [table, x, ids, starts, places], [d, vocab, count]);
    },
    dropout(...given) {
      const { rate, key, site, step, accumulate } = given[3];
      const { out, x, streams, below, n, d } = operands.dropout(...given);
      const numbers = [d, below, 1 / (1 - rate), ...key, site, step, Number(accumulate ?? false)];
      run('dropout', n, EXP * n * d, [out, x, streams], numbers);
    },
    matmul(...given) {
      const { transposeA = false, transposeB = false, scale = 1, accumulate = false } = given[3] ?? {};
      const { out, a, b, m, n, k } = operands.matmul(...given);
      const { rowSize, columnSize, units } = matmulPlan(m, n, threads);
      const forms = [Number(transposeA), Number(transposeB), formatOf(b), scale, Number(accumulate)];
      const scratch = exports.matmulScratch(columnSize);
      run('matmul', units, 2 * m * n * k, [out, a, b], [m, n, k, ...forms, rowSize, columnSize], scratch);
    },
    rope(...given) {
      const { x, cos, sin, positions, n, heads, half, maxPosition } = operands.rope(...given);
      const numbers = [heads, half, maxPosition, given[4] ? -1 : 1];
      run('rope', n, 6 * n * heads * half, [x, cos, sin, positions], numbers);
    },
    attention(...given) {
      const scale = given[5];
      const { out, lse, q, k, v, b, t, heads, kvHeads, headDim, window } = operands.attention(...given);
      const work = b * heads * t * window * (2 * headDim + EXP);
      const numbers = [t, heads, kvHeads, headDim, scale, window];
      const scratch = exports.attentionScratch(t, headDim);
      run('attention', b * kvHeads, work, [out, lse, q, k, v], numbers, scratch);
    },
    attentionBackward(...given) {
      const scale = given[9];
      const found = operands.attentionBackward(...given);
      const { dq, dk, dv, dout, q, k, v, out, lse, b, t, heads, kvHeads, headDim, window } = found;
      const work = b * heads * t * window * (5 * headDim + EXP);
      const numbers = [t, heads, kvHeads, headDim, scale, window];
      const scratch = exports.attentionBackwardScratch(t, headDim);
      run('attentionBackward', b * kvHeads, work, [dq, dk, dv, dout, q, k, v, out, lse], numbers, scratch);
    },
    cacheWrite(...given) {
      const { cache, x, start, b, t, max, width } = operands.cacheWrite(...given);
      run('cacheWrite', b, b * t * width, [cache, x, start], [t, max, width]);
    },
    attentionCached(...given) {
      const scale = given[5];
      const found = operands.attentionCached(...given);
      const { out, q, kCache, vCache, lengths, b, max, heads, kvHeads, headDim, window } = found;
      const work = b * heads * window * (2 * headDim + EXP);
      const numbers = [max, heads, kvHeads, headDim, scale, window];
      const scratch = exports.attentionCachedScratch(max, headDim);
      run('attentionCached', b * kvHeads, work, [out, q, kCache, vCache, lengths], numbers, scratch);
    },
    swiglu(...given) {
      const { out, gate, up, n } = operands.swiglu(...given);
      elementwise('swiglu', n, EXP, [out, gate, up]);
    },
    swigluBackward(...given) {
      const { dgate, dup, dout, gate, up, n } = operands.swigluBackward(...given);
      elementwise('swigluBackward', n, EXP, [dgate, dup, dout, gate, up]);
    },
    add(...given) {
      const { out, x, n } = operands.add(...given);
      elementwise('add', n, 1, [out, x]);
    },
    addBias(...given) {
      const { out, bias, n, d } = operands.addBias(...given);
      run('addBias', n, n * d, [out, bias], [d]);
    },
    tokenLogps(...given) {
      const { logps, lse, logits, targets, n, width, start, vocab } = operands.tokenLogps(...given);
      run('tokenLogps', n, EXP * n * width, [logps, lse, logits, targets], [width, start, vocab]);
    },
    tokenLogpsBackward(...given) {
      const { logits, dlogps, lse, targets, n, width, start, vocab } = operands.tokenLogpsBackward(...given);
      run('tokenLogpsBackward', n, EXP * n * width, [logits, dlogps, lse, targets], [width, start, vocab]);
    },
    topTargets(...given) {
      const { hits, most, logits, targets, n, width, start, vocab } = operands.topTargets(...given);
      run('topTargets', n, n * width, [hits, most, logits, targets], [width, start, vocab]);
    },
    maskedSum(...given) {
      const { out, x, mask, b, t } = operands.maskedSum(...given);
      run('maskedSum', b, 2 * b * t, [out, x, mask], [t]);
    },
    maskedSumBackward(...given) {
      const { dinp, dout, mask, b, t } = operands.maskedSumBackward(...given);
      run('maskedSumBackward', b, b * t, [dinp, dout, mask], [t]);
    },
    dpo(...given) {
      const { loss, beta, scale } = given[5];
      const { losses, dlogps, logps, refLogps, labels, p } = operands.dpo(...given);
      run(
        'dpo',
        p,
        8 * EXP * p,
        [losses, dlogps, logps, refLogps, labels],
        [p, DPO_LOSSES[loss], beta, scale],
      );
    },
    policyGradient(...given) {
      const { epsilonLow, epsilonHigh, beta, weighKl } = given[7];
      const { tensors, n } = operands.policyGradient(...given);
      const numbers = [1 - epsilonLow, 1 + epsilonHigh, beta, Number(weighKl)];
      elementwise('policyGradient', n, 4 * EXP, tensors, numbers);
    },
    sumSquares(...given) {
      const { out, x, n } = operands.sumSquares(...given);
      const count = Math.ceil(n / BLOCK);
      const partial = arena.allocate(count * 8);
      runner.run('sumSquaresBlocks', count, [partial, x.pointer, n], 2 * n);
      exports.sumBlocks(out.pointer, partial, count);
      arena.release(partial);
    },
    adamw(...given) {
      const { learningRate, beta1, beta2, epsilon, weightDecay, ...options } = given[5];
      const { biasCorrection1, biasCorrection2, maxGradNorm } = options;
      const { param, grad, m, v, gradSquares, n } = operands.adamw(...given);
      elementwise(
        'adamw',
        n,
        EXP,
        [param, grad, m, v, gradSquares],
        [learningRate, beta1, beta2, epsilon, weightDecay, biasCorrection1, biasCorrection2, maxGradNorm],
      );
    },
    sample(...given) {
      const { temperature, topK, topP, key } = given[5];
      const { next, logps, logits, streams, lengths, b, vocab } = operands.sample(...given);
      const numbers = [vocab, temperature, topK, topP, ...key];
      const scratch = exports.sampleScratch(vocab);
      run('sample', b, EXP * b * vocab, [next, logps, logits, streams, lengths], numbers, scratch);
    },
    repetitionPenalty(...given) {
      const { logits, tokens, lengths, b, vocab, max } = operands.repetitionPenalty(...given);
      const scratch = exports.repetitionPenaltyScratch(vocab);
      run(
        'repetitionPenalty',
        b,
        b * (max + vocab),
        [logits, tokens, lengths],
        [vocab, max, given[3]],
        scratch,
      );
    },
    advance(...given) {
      const { tokens, lengths, finished, current, positions, next, eos, b, max } = operands.advance(...given);
      const state = [tokens, lengths, finished, current, positions, next, eos];
      run('advance', b, b, state, [max, eos.length]);
    },
  };
}
