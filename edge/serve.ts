/** The service on Node and Deno; environment variables are its options. */
import process from 'node:process';
import { serve } from '@hono/node-server';
import { createApp } from './app.ts';
import { optionsFrom } from './options.ts';

const { PORT, HOST } = process.env;
const server = serve(
  {
    fetch: createApp(optionsFrom(process.env)).fetch,
    port: Number(PORT ?? 8787),
    hostname: HOST ?? '127.0.0.1',
  },
  ({ address, port }) => console.log(`dualign: listening on http://${address}:${port}`),
);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close(() => process.exit(0));
  });
}
