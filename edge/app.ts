import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { PAGE, PAGE_POLICY } from '../src/generated/page.ts';
import { VERSION } from '../src/generated/version.ts';
import { loadWasm } from '../src/wasm.ts';
import { discardRest } from './body.ts';
import { openapi } from './openapi.ts';
import { curve, dual, type Operation, plan } from './operations.ts';
import { DEFAULTS, type ServiceOptions } from './options.ts';
import { HttpProblem, problemOf } from './problem.ts';
import { readRequest } from './scores.ts';
import { tokenCheck } from './token.ts';

const OPERATIONS: Readonly<Record<string, Operation>> = { dual, curve, plan };

/**
 * The service as one handler of fetch requests, the same on workerd, Deno and Node. It keeps nothing between requests.
 * See edge/README.md for its routes.
 */
export function createApp(options: ServiceOptions = {}): Hono {
  const { token, corsOrigins, module } = options;
  const limits = {
    maxBodyBytes: options.maxBodyBytes ?? DEFAULTS.maxBodyBytes,
    maxBodySeconds: options.maxBodySeconds ?? DEFAULTS.maxBodySeconds,
  };
  const maxWork = options.maxWork ?? DEFAULTS.maxWork;
  const app = new Hono();
  app.onError((error) => problemOf(error).response());
  app.notFound((c) => {
    const detail = `${c.req.path} is not here; / is a page to use, /openapi.json describes the service`;
    return new HttpProblem(404, detail).response();
  });
  if (corsOrigins) {
    const origin = corsOrigins.includes('*') ? '*' : [...corsOrigins];
    const allowMethods = ['GET', 'POST'];
    app.use(cors({ origin, allowMethods, allowHeaders: ['authorization', 'content-type'], maxAge: 86400 }));
  }

  get(app, '/', (c) =>
    c.html(PAGE, 200, { 'content-security-policy': PAGE_POLICY, 'referrer-policy': 'no-referrer' }),
  );
  get(app, '/health', (c) => c.json({ status: 'ok', version: VERSION }));
  get(app, '/openapi.json', (c) => c.json(openapi({ token: token !== undefined, ...limits })));

  // A worker may not hash before its first request.
  let checkToken: ReturnType<typeof tokenCheck> | undefined;
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    app.post(`/v1/${name}`, async (c) => {
      try {
        if (token !== undefined) {
          checkToken ??= tokenCheck(token);
          await (await checkToken)(c.req.header('authorization'));
        }
        const request = await readRequest(c.req.raw, limits);
        const answer = await operation({ kernels: await loadWasm(module), maxWork }, request);
        return new Response(JSON.stringify(answer), {
          headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
        });
      } catch (error) {
        await discardRest(c.req.raw, limits);
        throw error;
      }
    });
    others(app, `/v1/${name}`, 'POST');
  }
  return app;
}

function get(app: Hono, path: string, answer: (c: Context) => Response | Promise<Response>): void {
  app.get(path, answer);
  others(app, path, 'GET, HEAD');
}

/** Other methods on a path that exists. */
function others(app: Hono, path: string, allow: string): void {
  app.all(path, (c) => {
    throw new HttpProblem(405, `expected ${allow} on ${path}, got ${c.req.method}`, { allow });
  });
}
