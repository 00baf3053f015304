import { elements, expectData, expectSameSize, expectWeightBytes, viewLength } from '../checks.ts';
import type { Engine, TensorOperation } from '../engine.ts';
import { storedBytes } from '../formats.ts';
import { CpuTensor, checks, WASM_LIMITS } from './memory.ts';
import type { Runner } from './runner.ts';

type TensorOperations = Pick<Engine, TensorOperation>;

/** Longest that operations keep the host from its timers, signals and messages, where the caller reads at all. */
const TURN_MS = 30;

/** The memory side of the engine. Operations are done when they return; a read only gives the host its turn. */
export function tensorOperations(runner: Runner): TensorOperations {
  const { arena } = runner;
  const { own, expectF32, expectWritable } = checks;
  let turn = performance.now();

  function create(operation: string, shape: readonly number[], dtype: 'f32' | 'u32'): CpuTensor {
    runner.check();
    const length = elements(operation, shape);
    return new CpuTensor([...shape], dtype, arena.allocate(length * 4), length, false);
  }

  function words({ pointer, length }: CpuTensor): Uint32Array<ArrayBuffer> {
    runner.check();
    return arena.words(pointer, length);
  }

  function write(operation: string, target: CpuTensor, data: Float32Array | Uint32Array): void {
    expectData(operation, data, target.dtype, target.length);
    runner.check();
    if (data instanceof Float32Array) arena.floats(target.pointer, target.length).set(data);
    else words(target).set(data);
  }

  async function giveTurn(): Promise<void> {
    if (performance.now() - turn < TURN_MS) await undefined;
    else {
      await new Promise((resolve) => setTimeout(resolve, 0));
      turn = performance.now();
    }
    runner.check();
  }

  return {
    limits: WASM_LIMITS,
    memory: () => arena.use(),
    tensor(shape, dtype = 'f32') {
      const created = create('tensor', shape, dtype);
      words(created).fill(0);
      return created;
    },
    upload(data, shape) {
      const dtype = data instanceof Float32Array ? 'f32' : 'u32';
      expectData('upload', data, dtype, elements('upload', shape));
      const created = create('upload', shape, dtype);
      write('upload', created, data);
      return created;
    },
    uploadWeights(bytes, shape, format) {
      const length = elements('uploadWeights', shape);
      expectWeightBytes(bytes, format, length);
      runner.check();
      const pointer = arena.allocate(bytes.length);
      arena.bytes(pointer, bytes.length).set(bytes);
      return new CpuTensor([...shape], format, pointer, length, false);
    },
    write(target, data) {
      write('write', own('write', 'tensor', target), data);
    },
    copy(out, source) {
      const to = expectWritable('copy', 'out', out);
      const from = own('copy', 'source', source);
      expectSameSize('copy', to, from);
      words(to).set(words(from));
    },
    zero(out) {
      words(expectWritable('zero', 'out', out)).fill(0);
    },
    view(source, offset, shape) {
      const parent = own('view', 'tensor', source);
      const length = viewLength(parent, offset, shape);
      return new CpuTensor(
        [...shape],
        parent.dtype,
        parent.pointer + storedBytes(parent.dtype, offset),
        length,
        true,
      );
    },
    free(...tensors) {
      for (const each of tensors) {
        const mine = own('free', 'tensor', each);
        if (mine.isView) throw new Error('free: expected a tensor, got a view');
        mine.freed = true;
        arena.release(mine.pointer);
      }
    },
    async read(source) {
      const { pointer, length } = expectF32('read', 'tensor', source);
      runner.check();
      const values = arena.floats(pointer, length).slice();
      await giveTurn();
      return values;
    },
    async readU32(source) {
      const mine = own('readU32', 'tensor', source);
      if (mine.dtype !== 'u32') throw new Error(`readU32: expected a u32 tensor, got ${mine.dtype}`);
      const values = words(mine).slice();
      await giveTurn();
      return values;
    },
    flush() {},
    destroy: () => runner.destroy(),
  };
}
