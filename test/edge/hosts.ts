/** The service in processes of its own: Node, Deno and workerd, each with the same options. */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = (name: string) => join(root, 'node_modules/.bin', name);

export interface Host {
  readonly url: string;
  stop(): void;
}

export type Variables = Readonly<Record<string, string>>;

export async function startNode(variables: Variables): Promise<Host> {
  return served([bin('node'), 'edge/serve.ts'], variables);
}

export async function startDeno(variables: Variables): Promise<Host> {
  return served([bin('deno'), 'run', '--allow-net', '--allow-env', 'edge/serve.ts'], variables);
}

async function served([command, ...args]: readonly string[], variables: Variables): Promise<Host> {
  const port = await freePort();
  const env = { ...process.env, ...variables, PORT: String(port) };
  return ready(spawn(command, args, { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] }), port);
}

export async function startWorkerd(variables: Variables): Promise<Host> {
  const folder = mkdtempSync(join(tmpdir(), 'dualign-edge-'));
  await build({
    absWorkingDir: root,
    entryPoints: ['edge/worker.ts'],
    outfile: join(folder, 'worker.js'),
    bundle: true,
    format: 'esm',
    logLevel: 'warning',
    plugins: [
      {
        name: 'compiled-module',
        setup: ({ onResolve }) =>
          onResolve({ filter: /\.wasm$/ }, () => ({ path: 'dualign.wasm', external: true })),
      },
    ],
  });
  copyFileSync(join(root, 'build/dualign.wasm'), join(folder, 'dualign.wasm'));
  const port = await freePort();
  writeFileSync(join(folder, 'config.capnp'), workerConfig(port, variables));
  const child = spawn(bin('workerd'), ['serve', join(folder, 'config.capnp')], { stdio: 'inherit' });
  return ready(child, port, () => rmSync(folder, { recursive: true }));
}

function workerConfig(port: number, variables: Variables): string {
  const bindings = Object.entries(variables).map(
    ([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [
      (name = "worker.js", esModule = embed "worker.js"),
      (name = "dualign.wasm", wasm = embed "dualign.wasm"),
    ],
    bindings = [${bindings.join(', ')}],
    compatibilityDate = "2025-01-01",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** The host, once its health route answers. */
async function ready(child: ChildProcess, port: number, cleanUp = () => {}): Promise<Host> {
  const url = `http://127.0.0.1:${port}`;
  const stop = () => {
    child.kill();
    cleanUp();
  };
  for (let attempt = 0; ; attempt++) {
    try {
      await (await fetch(`${url}/health`)).text();
      return { url, stop };
    } catch (error) {
      if (attempt === 150 || child.exitCode !== null) {
        stop();
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
