import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeSafetensors } from '../../src/data/safetensors.ts';
import {
  type DualProblem,
  planDual,
  safetyCurve,
  solveDual,
  solvePath,
  thresholdsOf,
} from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';
import { type Host, startDeno, startNode, startWorkerd } from './hosts.ts';

const VARIABLES = {
  DUALIGN_TOKEN: 'correct-horse',
  DUALIGN_CORS_ORIGINS: 'https://a.example, https://b.example',
  DUALIGN_MAX_BODY_BYTES: '3000000',
};
const AUTHORIZED = { authorization: `Bearer ${VARIABLES.DUALIGN_TOKEN}` };

const one = generateScores(1, 300, 64, 1);
const two = generateScores(3, 260, 33, 2);

function rowsOf({ reward, safety, prompts, responses }: typeof one) {
  return Array.from({ length: prompts * responses }, (_, i) => ({
    prompt: `p${Math.floor(i / responses)}`,
    reward: reward[i],
    safety: Array.from({ length: safety.length / reward.length }, (_, j) => safety[j * reward.length + i]),
  }));
}

function listsOf(values: Float64Array, { prompts, responses }: typeof one): number[][] {
  return Array.from({ length: prompts }, (_, n) => [...values.slice(n * responses, (n + 1) * responses)]);
}

function arraysOf(table: typeof one) {
  const total = table.reward.length;
  const planes = Array.from({ length: table.safety.length / total }, (_, j) =>
    listsOf(table.safety.slice(j * total, (j + 1) * total), table),
  );
  return { reward: listsOf(table.reward, table), safety: planes };
}

function tensorsOf({ reward, safety, prompts, responses }: typeof one): Uint8Array<ArrayBuffer> {
  const m = safety.length / reward.length;
  return Uint8Array.from(
    writeSafetensors([
      ['reward', { shape: [prompts, responses], data: reward }],
      ['safety', { shape: [m, prompts, responses], data: safety }],
    ]),
  );
}

function parquetOf(table: typeof one): Uint8Array<ArrayBuffer> {
  const rows = rowsOf(table);
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: 'prompt', data: rows.map(({ prompt }) => prompt), type: 'STRING' },
      { name: 'reward', data: rows.map(({ reward }) => reward), type: 'DOUBLE' },
      { name: 'safety', data: rows.map(({ safety: [first] }) => first), type: 'DOUBLE' },
    ],
    codec: 'GZIP',
    compressors: { GZIP: (bytes) => gzipSync(bytes) },
  });
  return new Uint8Array(buffer);
}

async function withMargins(
  table: typeof one,
  beta: number,
  margins: readonly number[],
): Promise<DualProblem> {
  const limits = margins.map((margin) => ({ margin }));
  return { ...table, beta, thresholds: await thresholdsOf(table, limits), relative: margins.map(() => true) };
}

describe.each([
  ['Node', startNode],
  ['Deno', startDeno],
  ['workerd', startWorkerd],
] as const)('the service on %s', (_, start) => {
  let host: Host;
  beforeAll(async () => {
    host = await start(VARIABLES);
  });
  afterAll(() => host?.stop());

  const post = (path: string, body: BodyInit, headers: Record<string, string> = {}) =>
    fetch(`${host.url}${path}`, { method: 'POST', body, headers: { ...AUTHORIZED, ...headers } });
  const postJson = (path: string, body: unknown) =>
    post(path, JSON.stringify(body), { 'content-type': 'application/json' });

  test('rows, arrays, JSON Lines, safetensors and compressed parquet all give the bits of solveDual', async () => {
    const expected = JSON.stringify(await solveDual({ ...one, beta: 0.1, thresholds: [0.5] }));
    const limits = [{ threshold: 0.5 }];
    const rows = rowsOf(one);
    const query = '/v1/dual?beta=0.1&threshold=0.5';
    const lines = rows.map((row) => JSON.stringify(row)).join('\n');
    const answers = [
      await postJson('/v1/dual', { scores: rows, beta: 0.1, limits }),
      await postJson('/v1/dual', { scores: arraysOf(one), beta: 0.1, limits }),
      await post(query, lines, { 'content-type': 'application/x-ndjson' }),
      await post(query, tensorsOf(one), { 'content-type': 'application/octet-stream' }),
      await post(query, parquetOf(one), { 'content-type': 'application/octet-stream' }),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      expect(await answer.text()).toBe(expected);
    }
  });

  test('curve, axis and plan are those of the library, with margins', async () => {
    const bytes = tensorsOf(one);
    const problem = await withMargins(one, 0.1, [0.5]);
    expect(await (await post('/v1/curve?beta=0.1&points=9', bytes)).text()).toBe(
      JSON.stringify(await safetyCurve(one, 0.1, { points: 9 })),
    );
    expect(await (await post('/v1/plan?beta=0.1&margin=0.5&subsets=3&target=0.1&seed=7', bytes)).text()).toBe(
      JSON.stringify(await planDual(problem, { subsets: 3, target: 0.1, seed: 7 })),
    );
    const { thresholds } = await withMargins(two, 0.1, [0.5, 0.25]);
    const path = [-1, -0.5, 0].map((value) => [thresholds[0], value]);
    const axis = '/v1/curve?beta=0.1&margin=0.5&margin=0.25&axis=2&points=3&from=-1&to=0';
    expect(await (await post(axis, tensorsOf(two))).text()).toBe(
      JSON.stringify({ axis: 2, points: await solvePath(two, 0.1, path) }),
    );
  });

  test('out of reach is an answer, with its certificate', async () => {
    const answer = await post('/v1/dual?beta=0.1&threshold=100', tensorsOf(one));
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ status: 'infeasible', certificate: { direction: [1] } });
  });

  test('only the token opens it', async () => {
    const bytes = tensorsOf(one);
    for (const authorization of ['', 'Bearer', 'Bearer wrong', `Basic ${VARIABLES.DUALIGN_TOKEN}`]) {
      const answer = await post('/v1/dual?beta=1&margin=0', bytes, { authorization });
      expect(answer.status, authorization).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(await answer.json()).toMatchObject({ type: 'about:blank', title: 'Unauthorized', status: 401 });
    }
  });

  test('a body over the limit is refused whether it says its size or not, and the next request is served', async () => {
    const large = new Uint8Array(8_000_000).fill(32);
    expect((await post('/v1/dual?beta=1&margin=0', large)).status).toBe(413);
    const stream = new Blob([large]).stream();
    const answer = await fetch(`${host.url}/v1/dual?beta=1&margin=0`, {
      method: 'POST',
      body: stream,
      headers: AUTHORIZED,
      duplex: 'half',
    } as RequestInit);
    expect(answer.status).toBe(413);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    await answer.text();
    expect((await post('/v1/dual?beta=1&margin=0', tensorsOf(one))).status).toBe(200);
  });

  test('pages of the origins named, and of no other, may read answers', async () => {
    const preflight = (origin: string) =>
      fetch(`${host.url}/v1/dual`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' },
      });
    const allowed = await preflight('https://b.example');
    expect(allowed.ok).toBe(true);
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://b.example');
    expect(allowed.headers.get('access-control-allow-headers')).toContain('authorization');
    expect((await preflight('https://c.example')).headers.get('access-control-allow-origin')).toBeNull();
    const refused = await fetch(`${host.url}/v1/dual`, {
      method: 'POST',
      headers: { origin: 'https://a.example' },
    });
    expect(refused.status).toBe(401);
    expect(refused.headers.get('access-control-allow-origin')).toBe('https://a.example');
  });

  test('health, document and page need no token', async () => {
    expect(await (await fetch(`${host.url}/health`)).json()).toMatchObject({ status: 'ok' });
    expect(await (await fetch(`${host.url}/openapi.json`)).json()).toMatchObject({ openapi: '3.1.0' });
    const page = await fetch(`${host.url}/`);
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(await page.text()).toContain('</html>');
  });
});
