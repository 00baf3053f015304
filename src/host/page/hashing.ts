import { sha256 as streamingSha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Folder } from '../../data/folder.ts';
import type { HashingFolder } from '../known_sources.ts';

/** Bytes hashed at once: a page holds no file of weights whole. */
const PIECE = 1 << 24;

/** The folder, with hashes; browsers themselves hash nothing that is not held whole. */
export function withHashes(folder: Folder): HashingFolder {
  return {
    name: folder.name,
    exists: (path) => folder.exists(path),
    read: (path) => folder.read(path),
    readText: (path) => folder.readText(path),
    size: (path) => folder.size(path),
    readRange: (path, begin, end) => folder.readRange(path, begin, end),
    async sha256(path) {
      const hash = streamingSha256.create();
      const size = await folder.size(path);
      for (let at = 0; at < size; at += PIECE) {
        hash.update(await folder.readRange(path, at, Math.min(size, at + PIECE)));
      }
      return bytesToHex(hash.digest());
    },
  };
}
