import { elements, expectData, expectSameSize, expectWeightBytes, viewLength } from '../checks.ts';
import type { Engine, Tensor, TensorOperation } from '../engine.ts';
import { storedBytes } from '../formats.ts';
import { pieceLengths } from '../pieces.ts';
import { expectF32, expectWritable, own } from './checks.ts';
import { GpuTensor, type Pool, piecesOf, viewOf } from './memory.ts';
import type { Recorder } from './recorder.ts';

type TensorOperations = Pick<Engine, TensorOperation>;

/** Memory for a tensor, in pieces where it is larger than the device binds at once. */
export function allocate(pool: Pool, shape: readonly number[], dtype: Tensor['dtype']): GpuTensor {
  const whole = (size: readonly number[], length: number) =>
    new GpuTensor([...size], dtype, pool.acquire(storedBytes(dtype, length)), 0, length, false);
  const length = elements('tensor', shape);
  const lengths = pieceLengths(shape, dtype, pool.limits.tensor);
  if (!lengths || lengths.length === 1) return whole(shape, length);
  const pieces = lengths.map((size) => whole([size], size));
  return new GpuTensor([...shape], dtype, pieces, 0, length, false);
}

/** The memory side of the engine. */
export function tensorOperations(recorder: Recorder): TensorOperations {
  function tensor(shape: readonly number[], dtype: 'f32' | 'u32' = 'f32'): GpuTensor {
    recorder.check();
    return allocate(recorder.pool, shape, dtype);
  }

  function write(operation: string, target: GpuTensor, data: Float32Array | Uint32Array): void {
    expectData(operation, data, target.dtype, target.length);
    for (const { tensor: piece, start } of piecesOf(target)) {
      recorder.write(piece, data.subarray(start, start + piece.length));
    }
  }

  function writeWeights({ storage }: GpuTensor, bytes: Uint8Array): void {
    // A queue writes whole words.
    const whole = bytes.length - (bytes.length % 4);
    if (whole > 0) recorder.writeBytes(storage, 0, bytes.subarray(0, whole));
    if (whole < bytes.length) {
      const rest = new Uint8Array(4);
      rest.set(bytes.subarray(whole));
      recorder.writeBytes(storage, whole, rest);
    }
  }

  async function read(source: GpuTensor): Promise<ArrayBuffer> {
    const pieces = piecesOf(source);
    const values = await Promise.all(pieces.map(({ tensor: piece }) => recorder.read(piece)));
    if (values.length === 1) return values[0];
    const bytes = new Uint8Array(source.length * 4);
    pieces.forEach(({ start }, i) => {
      bytes.set(new Uint8Array(values[i]), start * 4);
    });
    return bytes.buffer;
  }

  function giveBack(mine: GpuTensor): void {
    mine.freed = true;
    if (mine.pieces.length > 0) mine.pieces.forEach(giveBack);
    else recorder.pool.release(mine.storage);
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
      const created = allocate(recorder.pool, shape, format);
      for (const { tensor: piece, start } of piecesOf(created)) {
        const first = storedBytes(format, start);
        writeWeights(piece, bytes.subarray(first, first + storedBytes(format, piece.length)));
      }
      return created;
    },
    write(target, data) {
      write('write', own('write', 'tensor', target), data);
    },
    copy(out, source) {
      const to = expectWritable('copy', 'out', out);
      const from = own('copy', 'source', source);
      expectSameSize('copy', to, from);
      if (to.pieces.length + from.pieces.length === 0) {
        recorder.copy(to, from);
        return;
      }
      const ends = [...piecesOf(to), ...piecesOf(from)].map(
        ({ tensor: { length }, start }) => start + length,
      );
      let start = 0;
      for (const end of [...new Set(ends)].sort((a, b) => a - b)) {
        recorder.copy(viewOf(to, start, [end - start]), viewOf(from, start, [end - start]));
        start = end;
      }
    },
    zero(out) {
      for (const { tensor: piece } of piecesOf(expectWritable('zero', 'out', out))) {
        const { storage, offset, length, isView } = piece;
        if (isView) recorder.clear(storage, offset * 4, length * 4);
        // Cleared when first read, or not at all if an operation overwrites it before.
        else storage.stale = true;
      }
    },
    view(source, offset, shape) {
      const parent = own('view', 'tensor', source);
      viewLength(parent, offset, shape);
      return viewOf(parent, offset, shape);
    },
    free(...tensors) {
      for (const each of tensors) {
        const mine = own('free', 'tensor', each);
        if (mine.isView) throw new Error('free: expected a tensor, got a view');
        giveBack(mine);
      }
    },
    async read(source) {
      return new Float32Array(await read(expectF32('read', 'tensor', source)));
    },
    async readU32(source) {
      const mine = own('readU32', 'tensor', source);
      if (mine.dtype !== 'u32') throw new Error(`readU32: expected a u32 tensor, got ${mine.dtype}`);
      return new Uint32Array(await read(mine));
    },
    flush: () => recorder.flush(),
    destroy: () => recorder.destroy(),
  };
}
