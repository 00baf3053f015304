import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/** Calls `then` each time after this process has written a file whose path ends with `wanted`. */
export function afterWrites(wanted, then) {
  const { appendFile, rename } = fs.promises;
  const written = (path) => {
    if (String(path).endsWith(wanted)) then();
  };
  fs.promises.appendFile = async (path, ...rest) => {
    await appendFile(path, ...rest);
    written(path);
  };
  fs.promises.rename = async (from, to) => {
    await rename(from, to);
    written(to);
  };
  syncBuiltinESMExports();
}
