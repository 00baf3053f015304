import { crc32 } from 'node:zlib';

/** A .npy file of f64, row-major. */
export function npyFile(shape: readonly number[], values: Float64Array): Buffer {
  const header = `{'descr': '<f8', 'fortran_order': False, 'shape': (${shape.join(', ')},), }\n`;
  const length = String.fromCharCode(header.length & 255, header.length >> 8);
  return Buffer.concat([
    Buffer.from(`\x93NUMPY\x01\x00${length}${header}`, 'latin1'),
    Buffer.from(values.buffer, values.byteOffset, values.byteLength),
  ]);
}

/** An archive of .npy files, stored, as numpy.savez writes it. */
export function npzFile(files: Readonly<Record<string, Buffer>>): Buffer {
  const members: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [key, content] of Object.entries(files)) {
    const name = Buffer.from(`${key}.npy`);
    // From the version needed to the length of the extra field: the same in both headers.
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt32LE(crc32(content), 10);
    shared.writeUInt32LE(content.length, 14);
    shared.writeUInt32LE(content.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(at, 10);
    members.push(Buffer.from('PK\x03\x04'), shared, name, content);
    directory.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), shared, place, name);
    at += 4 + shared.length + name.length + content.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  for (const offset of [8, 10]) end.writeUInt16LE(Object.keys(files).length, offset);
  end.writeUInt32LE(listed.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...members, listed, end]);
}
