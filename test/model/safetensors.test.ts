import { describe, expect, it } from 'vitest';
import { parseSafetensors, writeSafetensors } from '../../src/data/safetensors.ts';
import { UserError } from '../../src/errors.ts';

/** A file made by hand, so that the reader is not tested against our own writer alone. */
function file(header: unknown, data: Uint8Array): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

const bytesOf = (...halves: number[]) => new Uint8Array(new Uint16Array(halves).buffer);

describe('parseSafetensors', () => {
  it('converts halves exactly, subnormals, infinities and signed zero included', () => {
    const halves = bytesOf(0x3c00, 0xc000, 0x7bff, 0x0001, 0x83ff, 0x8000, 0x7c00, 0x7e00, 0x3555);
    const bytes = file({ x: { dtype: 'F16', shape: [9], data_offsets: [0, 18] } }, halves);
    const values = [...parseSafetensors(bytes, 'x').tensors.get('x')!.f32()];
    expect(values).toEqual([
      1,
      -2,
      65504,
      2 ** -24,
      -1023 * 2 ** -24,
      -0,
      Infinity,
      Number.NaN,
      0.333251953125,
    ]);
  });

  it('converts bfloat16 and integers of every width', () => {
    const header = {
      a: { dtype: 'BF16', shape: [2], data_offsets: [0, 4] },
      b: { dtype: 'I64', shape: [1], data_offsets: [4, 12] },
      c: { dtype: 'I8', shape: [2], data_offsets: [12, 14] },
      d: { dtype: 'BOOL', shape: [2], data_offsets: [14, 16] },
    };
    const data = new Uint8Array([
      0x80, 0x3f, 0x49, 0xc0, 251, 255, 255, 255, 255, 255, 255, 255, 255, 7, 0, 1,
    ]);
    const { tensors } = parseSafetensors(file(header, data), 'x');
    expect([...tensors.get('a')!.f64()]).toEqual([1, -3.140625]);
    expect([...tensors.get('b')!.f64()]).toEqual([-5]);
    expect([...tensors.get('c')!.f32()]).toEqual([-1, 7]);
    expect([...tensors.get('d')!.f32()]).toEqual([0, 1]);
  });

  const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
    dtype: 'F32',
    shape,
    data_offsets: [begin, end],
  });
  it.each([
    ['an empty file', new Uint8Array(0), /fewer than the 8/],
    [
      'a file cut in the header',
      file({ a: f32(0, 4) }, new Uint8Array(4)).subarray(0, 30),
      /header should take/,
    ],
    ['a file cut in the data', file({ a: f32(0, 8) }, new Uint8Array(7)), /a lies at bytes 0 to 8 of 7/],
    ['a header that is not JSON', file('{"a":', new Uint8Array(0)), /not JSON/],
    ['a header that is a list', file([], new Uint8Array(0)), /not a JSON object/],
    ['a shape that does not fit', file({ a: f32(0, 8, [3]) }, new Uint8Array(8)), /needs 12 bytes/],
    [
      'overlapping tensors',
      file({ a: f32(0, 8), b: f32(4, 8) }, new Uint8Array(8)),
      /b starts at byte 4, inside/,
    ],
    ['a gap', file({ a: f32(0, 4), b: f32(8, 12) }, new Uint8Array(12)), /after a gap/],
    ['bytes left over', file({ a: f32(0, 4) }, new Uint8Array(9)), /end at byte 4 of 9/],
    ['a negative offset', file({ a: f32(-4, 0, [1]) }, new Uint8Array(4)), /no valid data_offsets/],
    [
      'an unknown dtype',
      file({ a: { ...f32(0, 4), dtype: 'F4' } }, new Uint8Array(4)),
      /dtype F4; expected one of/,
    ],
  ])('refuses %s, naming the file', (_, bytes, message) => {
    const parse = () => parseSafetensors(bytes, 'models/x.safetensors');
    expect(parse).toThrow(UserError);
    expect(parse).toThrow(/^models\/x\.safetensors: /);
    expect(parse).toThrow(message);
  });
});

describe('writeSafetensors', () => {
  const a = { shape: [2, 2], data: new Float32Array([1, -2, 3.5, 0]) };
  const b = { shape: [1], data: new Float64Array([Math.PI]) };
  const c = { shape: [3], data: new Uint32Array([1, 2, 0xffffffff]) };

  it('is read back with its metadata', () => {
    const bytes = writeSafetensors(
      [
        ['a', a],
        ['b', b],
        ['c', c],
      ],
      { format: 'pt' },
    );
    const { tensors, metadata } = parseSafetensors(bytes, 'x');
    expect(metadata).toEqual({ format: 'pt' });
    expect(tensors.get('a')).toMatchObject({ dtype: 'F32', shape: [2, 2] });
    expect([...tensors.get('a')!.f32()]).toEqual([...a.data]);
    expect([...tensors.get('b')!.f64()]).toEqual([Math.PI]);
    expect([...tensors.get('c')!.f64()]).toEqual([1, 2, 0xffffffff]);
  });

  it('gives the same bytes for any order of insertion', () => {
    const one = writeSafetensors(
      [
        ['a', a],
        ['b', b],
        ['c', c],
      ],
      { x: '1', y: '2' },
    );
    const other = writeSafetensors(
      [
        ['c', c],
        ['b', b],
        ['a', a],
      ],
      { y: '2', x: '1' },
    );
    expect(one).toEqual(other);
  });

  it('reads tensors from a buffer at an odd offset', () => {
    const bytes = writeSafetensors([['a', a]]);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect([...parseSafetensors(shifted.subarray(1), 'x').tensors.get('a')!.f32()]).toEqual([...a.data]);
  });
});
