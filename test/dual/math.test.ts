import { expect, test } from 'vitest';
import { keyOf, Random } from '../../src/random.ts';
import { loadWasm } from '../../src/wasm.ts';
import { type Exact, exactCos, exactExp, exactLog, exactSin, exactTanh, ulps } from './exact.ts';

const kernels = await loadWasm();

function worst(f: (x: number) => number, exact: (x: number) => Exact, inputs: readonly number[]): number {
  return Math.max(...inputs.map((x) => ulps(f(x), exact(x))));
}

function draw(count: number, purpose: string, from: number, to: number): number[] {
  const random = new Random(keyOf(7, purpose));
  return Array.from({ length: count }, () => from + (to - from) * random.uniform());
}

test('the oracle itself agrees with known digits', () => {
  expect(ulps(Math.E, exactExp(1))).toBeLessThan(0.5);
  expect(ulps(Math.LN10, exactLog(10))).toBeLessThan(0.5);
  expect(ulps(Math.SQRT1_2, exactSin(Math.PI / 4))).toBeLessThan(1);
  // Kahan's hard case of argument reduction.
  expect(ulps(-0.8522008497671888, exactSin(1e22))).toBeLessThan(1);
  expect(ulps(Math.E * (1 + 2 ** -50), exactExp(1))).toBeGreaterThan(2);
});

test('exp is within 1 ulp', () => {
  expect(worst(kernels.exp, exactExp, draw(3000, 'exp near 0', -2, 2))).toBeLessThan(1);
  expect(worst(kernels.exp, exactExp, draw(3000, 'exp', -708, 709.7))).toBeLessThan(1);
  expect(worst(kernels.exp, exactExp, draw(200, 'exp to subnormal', -745, -708))).toBeLessThan(1);
});

test('log is within 1 ulp', () => {
  const wide = draw(3000, 'log', -1000, 1000).map((x) => 2 ** Math.trunc(x) * (1 + x - Math.trunc(x)));
  expect(worst(kernels.log, exactLog, wide.map(Math.abs))).toBeLessThan(1);
  expect(worst(kernels.log, exactLog, draw(3000, 'log near 1', 0.5, 2))).toBeLessThan(1);
});

test('sin and cos are within 1 ulp, for huge arguments too', () => {
  const inputs = [...draw(500, 'sin', -100, 100), 1e22, 2 ** 1023, 1.5707963267948966, Math.PI, 1e-8];
  expect(worst(kernels.sin, exactSin, inputs)).toBeLessThan(1);
  expect(worst(kernels.cos, exactCos, inputs)).toBeLessThan(1);
});

test('tanh is within 2 ulp', () => {
  expect(ulps(0.7615941559557649, exactTanh(1))).toBeLessThan(0.5);
  const tiny = draw(300, 'tiny tanh', -30, -1).map((power) => 2 ** power);
  const inputs = [...draw(1500, 'tanh', -3, 3), ...draw(300, 'large tanh', -25, 25), ...tiny];
  expect(worst(kernels.tanh, exactTanh, inputs)).toBeLessThan(2);
  expect([kernels.tanh(0), kernels.tanh(-0), kernels.tanh(Infinity), kernels.tanh(-800)]).toEqual([
    0, -0, 1, -1,
  ]);
  expect(kernels.tanh(NaN)).toBeNaN();
});

test('special values', () => {
  const { exp, log } = kernels;
  expect([exp(0), exp(-Infinity), exp(Infinity), exp(710), exp(-746)]).toEqual([1, 0, Infinity, Infinity, 0]);
  expect([log(1), log(0), log(Infinity), log(5e-324)]).toEqual([0, -Infinity, Infinity, -744.4400719213812]);
  expect([exp(NaN), log(NaN), log(-1)]).toEqual([NaN, NaN, NaN]);
});

test('the two-lane log gives the bits of the scalar one', () => {
  const { exports } = kernels;
  const at = exports.mark();
  const inputs = Float64Array.from([...draw(1001, 'lanes', 1, 1000), 1e-300, 1, 1e300, Math.SQRT2]);
  const pointer = exports.allocate(8 * inputs.length);
  const view = () => new Float64Array(exports.memory.buffer, pointer, inputs.length);
  view().set(inputs);
  exports.logAll(pointer, inputs.length);
  expect(view().slice()).toEqual(inputs.map(kernels.log));
  exports.release(at);
});

test('the module asks nothing of its host but a memory', () => {
  expect(WebAssembly.Module.imports(kernels.module)).toEqual([
    { module: 'env', name: 'memory', kind: 'memory' },
  ]);
});
