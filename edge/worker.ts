/** The service on workerd: Cloudflare Workers, or a machine of one's own. Variables and secrets are its options. */
// @ts-expect-error: the bundler provides the compiled module.
import module from '../build/dualign.wasm';
import { createApp } from './app.ts';
import { optionsFrom } from './options.ts';

let app: ReturnType<typeof createApp> | undefined;

export default {
  fetch(request: Request, environment: Readonly<Record<string, unknown>>): Response | Promise<Response> {
    app ??= createApp({ ...optionsFrom(environment), module });
    return app.fetch(request);
  },
};
