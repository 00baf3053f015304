/**
 * The edge service under load, on this machine alone: requests/s and latencies of POST /v1/dual with N × K scores, on
 * workerd, Deno and Node, one after another, one process each. Among the good requests, whose answers have to be the
 * library's to the bit, bad ones are mixed: JSON cut off, a NaN score, safetensors cut off, a body over the limit. Each
 * of those has to get its own problem+json.
 *
 *     node bench/edge_load.ts [--seconds 60] [--connections 8] [--prompts 1000] [--responses 128] [--hosts workerd,deno,node]
 *
 * Connections are kept alive; each sends its next request when the last one is answered (a closed loop). Exits with 1
 * if any request failed.
 */
import { Agent, request } from 'node:http';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { writeSafetensors } from '../src/data/safetensors.ts';
import { solveDual } from '../src/dual/index.ts';
import { startDeno, startNode, startWorkerd } from '../test/edge/hosts.ts';
import { generateScores } from '../test/support/score_generator.ts';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    connections: { type: 'string', default: '8' },
    prompts: { type: 'string', default: '1000' },
    responses: { type: 'string', default: '128' },
    hosts: { type: 'string', default: 'workerd,deno,node' },
  },
});
const [seconds, connections, N, K] = [
  options.seconds,
  options.connections,
  options.prompts,
  options.responses,
].map(Number);
if (![seconds, connections, N, K].every((value) => value > 0) || seconds > 600 || connections > 256) {
  throw new Error('expected up to 600 seconds, up to 256 connections, and sizes above 0');
}

const STARTS: Readonly<Record<string, typeof startNode>> = {
  workerd: startWorkerd,
  deno: startDeno,
  node: startNode,
};
/** One request in this many is bad. */
const BAD_EVERY = 10;
const BETA = 0.1;
const THRESHOLD = 0.5;
const QUERY = `/v1/dual?beta=${BETA}&threshold=${THRESHOLD}`;
const BINARY = 'application/octet-stream';

interface Asked {
  readonly name: string;
  readonly path: string;
  readonly type: string;
  readonly body: Uint8Array;
  readonly status: number;
}

const scores = generateScores(1, N, K, 1);
// The generator's scores are multiples of 1/1024: single precision holds them as they are.
const reward = Float32Array.from(scores.reward);
const safety = Float32Array.from(scores.safety);
const tensors = (rewards: Float32Array) =>
  writeSafetensors([
    ['reward', { shape: [N, K], data: rewards }],
    ['safety', { shape: [1, N, K], data: safety }],
  ]);
const body = tensors(reward);
const maxBodyBytes = 2 * body.length;
const GOOD: Asked = { name: 'good', path: QUERY, type: BINARY, body, status: 200 };
const BAD: readonly Asked[] = [
  {
    name: 'JSON cut off',
    path: '/v1/dual',
    type: 'application/json',
    body: new TextEncoder().encode('{"beta": 0.1, "scores": [{"prompt": "a", "rew'),
    status: 400,
  },
  {
    name: 'a NaN score',
    path: QUERY,
    type: BINARY,
    body: tensors(reward.map((value, i) => (i === 7 ? Number.NaN : value))),
    status: 422,
  },
  {
    name: 'safetensors cut off',
    path: QUERY,
    type: BINARY,
    body: body.subarray(0, body.length - 1000),
    status: 400,
  },
  {
    name: 'a body over the limit',
    path: QUERY,
    type: BINARY,
    body: new Uint8Array(maxBodyBytes + 1),
    status: 413,
  },
];
const expected = JSON.stringify(
  await solveDual({ ...scores, reward, safety, beta: BETA, thresholds: [THRESHOLD] }),
);

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

function send(url: string, agent: Agent, { path, type, body }: Asked): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': type, 'content-length': body.length };
    const outgoing = request(`${url}${path}`, { method: 'POST', agent, headers }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          type: incoming.headers['content-type'] ?? '',
          text: Buffer.concat(chunks).toString(),
        }),
      );
    });
    outgoing.setTimeout(30_000, () => outgoing.destroy(new Error('no answer within 30 seconds')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** What is wrong with an answer; undefined where nothing is. */
function fault(asked: Asked, { status, type, text }: Answer): string | undefined {
  if (status !== asked.status) return `status ${status}: ${text.slice(0, 200)}`;
  if (asked.status === 200) return text === expected ? undefined : 'other bits than the library';
  if (type !== 'application/problem+json') return `content type ${type}`;
  const problem = JSON.parse(text);
  return problem.status === status && typeof problem.detail === 'string' ? undefined : text.slice(0, 200);
}

const quantile = (sorted: readonly number[], q: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];

async function load(name: string): Promise<boolean> {
  const host = await STARTS[name]({ DUALIGN_MAX_BODY_BYTES: String(maxBodyBytes) });
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const latencies: number[] = [];
  const answered = new Map<string, number>();
  const faults = new Map<string, number>();
  let sent = 0;
  try {
    for (let i = 0; i < 20; i++) await send(host.url, agent, GOOD);
    const start = performance.now();
    const end = start + 1000 * seconds;
    const connection = async () => {
      while (performance.now() < end) {
        const turn = sent++;
        const asked = turn % BAD_EVERY === 0 ? BAD[(turn / BAD_EVERY) % BAD.length] : GOOD;
        const from = performance.now();
        const wrong = await send(host.url, agent, asked).then(
          (answer) => fault(asked, answer),
          (error: Error) => error.message,
        );
        if (wrong !== undefined) {
          const key = `${asked.name}: ${wrong}`;
          faults.set(key, (faults.get(key) ?? 0) + 1);
        } else {
          answered.set(asked.name, (answered.get(asked.name) ?? 0) + 1);
          if (asked === GOOD) latencies.push(performance.now() - from);
        }
      }
    };
    await Promise.all(Array.from({ length: connections }, connection));
    const took = (performance.now() - start) / 1000;
    latencies.sort((a, b) => a - b);
    const good = latencies.length;
    const failed = [...faults.values()].reduce((a, b) => a + b, 0);
    const times = [0.5, 0.95, 0.99, 1].map((q) => quantile(latencies, q).toFixed(1));
    console.log(
      `| ${name} | ${took.toFixed(1)} | ${good} | ${(good / took).toFixed(1)} | ${times.join(' | ')} | ` +
        `${BAD.map((bad) => answered.get(bad.name) ?? 0).join(' + ')} | ${failed} |`,
    );
    for (const [message, count] of faults) console.error(`${count} × ${message}`);
    return failed === 0;
  } finally {
    agent.destroy();
    host.stop();
  }
}

console.log(
  `N = ${N}, K = ${K}, β = ${BETA}, ${(body.length / 1e6).toFixed(2)} MB a request, ${connections} connections, ` +
    `${cpus().length} × ${cpus()[0].model}\nbad requests: ${BAD.map((bad) => `${bad.name} (${bad.status})`).join(' + ')}\n`,
);
console.log('| host | seconds | answers | per second | p50 ms | p95 | p99 | most | bad answered | failed |');
console.log('| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |');
let fine = true;
for (const name of options.hosts.split(',')) fine = (await load(name)) && fine;
process.exitCode = fine ? 0 : 1;
