import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const inRoot = (...parts) => join(root, ...parts);

/** Node 24 from the devDependency `node`, so that an older Node outside is enough to start with. */
export const node = inRoot('node_modules/node/bin', process.platform === 'win32' ? 'node.exe' : 'node');

const bin = inRoot('node_modules/.bin');
const outside = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.startsWith(bin));

/** The environment with this project's tools (node, deno) first on PATH. */
export const toolEnvironment = { ...process.env, PATH: [bin, ...outside].join(delimiter) };
/** The environment without them, for `npm ci`, which removes them while it runs. */
export const outerEnvironment = { ...process.env, PATH: outside.join(delimiter) };
