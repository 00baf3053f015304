/**
 * `npm run web`: sets up, then serves the playground, dist/web, on http://localhost:8600 (`npm run web -- --port 9000` elsewhere). Any
 * other web server does as well; this one also lets the page's workers share memory from the first visit on.
 */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { argv, exit } from 'node:process';
import { parseArgs } from 'node:util';
import { inRoot } from './paths.mjs';
import { setup } from './setup.mjs';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.jsonl': 'application/jsonl',
  '.wasm': 'application/wasm',
};
const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

const { values } = parseArgs({ args: argv.slice(2), options: { port: { type: 'string', default: '8600' } } });
const site = inRoot('dist/web');
const port = Number(values.port);

function fail(text) {
  console.error(text);
  exit(2);
}

if (!Number.isInteger(port) || port < 0 || port > 65535)
  fail(`--port: expected 0 to 65535, got ${values.port}`);
setup();

const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
  const file = join(site, normalize(path.endsWith('/') ? `${path}index.html` : path));
  if (!file.startsWith(site) || !existsSync(file) || !statSync(file).isFile()) {
    response.writeHead(404).end();
    return;
  }
  const type = TYPES[extname(file)] ?? 'application/octet-stream';
  response.writeHead(200, { 'content-type': type, 'content-length': statSync(file).size, ...ISOLATION });
  if (request.method === 'HEAD') response.end();
  else createReadStream(file).pipe(response);
});
server.on('error', (error) =>
  fail(error.code === 'EADDRINUSE' ? `port ${port} is in use; give another with --port` : error.message),
);
server.listen(port, () => console.log(`the playground is on http://localhost:${server.address().port}`));
