import { elements, expectData, expectSameSize, expectWeightBytes, viewLength } from '../checks.ts';
import type { Engine, TensorOperation } from '../engine.ts';
import { expectF32, expectWritable, own } from './checks.ts';
import { GpuTensor } from './memory.ts';
import type { Recorder } from './recorder.ts';

type TensorOperations = Pick<Engine, TensorOperation>;

/** The memory side of the engine. */
export function tensorOperations(recorder: Recorder): TensorOperations {
  function tensor(shape: readonly number[], dtype: 'f32' | 'u32' = 'f32'): GpuTensor {
    recorder.check();
    const length = elements('tensor', shape);
    return new GpuTensor([...shape], dtype, recorder.pool.acquire(length * 4), 0, length, false);
  }

  function write(operation: string, target: GpuTensor, data: Float32Array | Uint32Array): void {
    expectData(operation, data, target.dtype, target.length);
    recorder.write(target, data);
  }

  return {
    limits: recorder.pool.limits,
    memory: () => recorder.pool.memory(),
    tensor,
    upload(data, shape) {
      const dtype = data instanceof Float32Array ? 'f32' : 'u32';
      expectData('upload', data, dtype, elements('upload', shape));
      const created = tensor(shape, dtype);
      write('upload', created, data);
      return created;
    },
    uploadWeights(bytes, shape, format) {
      recorder.check();
      const length = elements('uploadWeights', shape);
      expectWeightBytes(bytes, format, length);
      const storage = recorder.pool.acquire(bytes.length);
      // A queue writes whole words.
      const whole = bytes.length - (bytes.length % 4);
      if (whole > 0) recorder.writeBytes(storage, 0, bytes.subarray(0, whole));
      if (whole < bytes.length) {
        const rest = new Uint8Array(4);
        rest.set(bytes.subarray(whole));
        recorder.writeBytes(storage, whole, rest);
      }
      return new GpuTensor([...shape], format, storage, 0, length, false);
    },
    write(target, data) {
      write('write', own('write', 'tensor', target), data);
    },
    copy(out, source) {
      const to = expectWritable('copy', 'out', out);
      const from = own('copy', 'source', source);
      expectSameSize('copy', to, from);
      recorder.copy(to, from);
    },
    zero(out) {
      const { storage, offset, length, isView } = expectWritable('zero', 'out', out);
      if (isView) recorder.clear(storage, offset * 4, length * 4);
      // Cleared when first read, or not at all if an operation overwrites it before.
      else storage.stale = true;
    },
    view(source, offset, shape) {
      const parent = own('view', 'tensor', source);
      const length = viewLength(parent, offset, shape);
      return new GpuTensor([...shape], parent.dtype, parent.storage, parent.offset + offset, length, true);
    },
    free(...tensors) {
      for (const each of tensors) {
        const mine = own('free', 'tensor', each);
        if (mine.isView) throw new Error('free: expected a tensor, got a view');
        mine.freed = true;
        recorder.pool.release(mine.storage);
      }
    },
    async read(source) {
      return new Float32Array(await recorder.read(expectF32('read', 'tensor', source)));
    },
    async readU32(source) {
      const mine = own('readU32', 'tensor', source);
      if (mine.dtype !== 'u32') throw new Error(`readU32: expected a u32 tensor, got ${mine.dtype}`);
      return new Uint32Array(await recorder.read(mine));
    },
    flush: () => recorder.flush(),
    destroy: () => recorder.destroy(),
  };
}
