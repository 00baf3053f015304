/**
 * Keeps all files of the playground for use without a network, and lets its workers share memory whatever the web server
 * says. FILES and VERSION, which changes with their content, come from the build.
 */
declare const FILES: readonly string[];
declare const VERSION: string;

/** What a service worker has; TypeScript keeps it in a library that excludes the page's. */
interface Scope {
  addEventListener(type: 'install' | 'activate', listener: (event: Waiting) => void): void;
  addEventListener(type: 'fetch', listener: (event: Fetching) => void): void;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
  readonly registration: { readonly scope: string };
}
interface Waiting {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetching {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

const scope = globalThis as unknown as Scope;
const PREFIX = 'dualign ';
const CACHE = `${PREFIX}${VERSION}`;
/** Pages with these may share memory among their workers, so that the CPU engine has threads. */
const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
};

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((file) => new Request(file, { cache: 'reload' })));
  await scope.skipWaiting();
}

async function activate(): Promise<void> {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await scope.clients.claim();
}

function isolated(response: Response): Response {
  if (response.status === 0 || response.type === 'opaque') return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

async function answer(request: Request): Promise<Response> {
  const path = new URL(request.url).href.slice(scope.registration.scope.length).replace(/[?#].*$/, '');
  const file = path === '' ? 'index.html' : path;
  if (!FILES.includes(file)) {
    try {
      return isolated(await fetch(request));
    } catch {
      // Without a network, what is not kept is not there.
      return new Response(null, { status: 404 });
    }
  }
  const kept = await (await caches.open(CACHE)).match(file);
  if (!kept) return isolated(await fetch(request));
  const { status, headers } = isolated(kept);
  return new Response(request.method === 'HEAD' ? null : kept.body, { status, headers });
}

scope.addEventListener('install', (event) => event.waitUntil(install()));
scope.addEventListener('activate', (event) => event.waitUntil(activate()));
scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const own = request.url.startsWith(scope.registration.scope);
  if (own && (request.method === 'GET' || request.method === 'HEAD')) event.respondWith(answer(request));
});
