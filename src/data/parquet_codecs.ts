import { decompress as decompressZstd } from 'fzstd';
import type { Compressors } from 'hyparquet';
// Module by module: the package's entry compiles WebAssembly for Snappy, which edge workers forbid and hyparquet does itself.
import { decompressBrotli } from 'hyparquet-compressors/src/brotli.js';
import { gunzip } from 'hyparquet-compressors/src/gzip.js';
import { decompressLz4, decompressLz4Raw } from 'hyparquet-compressors/src/lz4.js';

/** The codecs that hyparquet does not know by itself. */
export const CODECS: Compressors = {
  BROTLI: decompressBrotli,
  GZIP: (input, length) => gunzip(input, new Uint8Array(length)),
  LZ4: decompressLz4,
  LZ4_RAW: decompressLz4Raw,
  ZSTD: (input) => decompressZstd(input),
};
