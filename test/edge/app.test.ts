import * as v from 'valibot';
import { expect, test } from 'vitest';
import { CURVE_ANSWER, DUAL_ANSWER, PLAN_ANSWER } from '../../edge/answers.ts';
import { createApp } from '../../edge/app.ts';
import { optionsFrom } from '../../edge/options.ts';
import { CURVE, DUAL, PLAN } from '../../edge/parameters.ts';
import {
  axisPath,
  describePolicies,
  directionPath,
  stability,
  thresholdGrid,
  thresholdsOf,
} from '../../src/dual/index.ts';

const ROWS = [
  { prompt: 'a', reward: 1.5, safety: [-0.5] },
  { prompt: 'a', reward: 0.5, safety: [1] },
  { prompt: 'b', reward: 0.25, safety: [0.75] },
  { prompt: 'b', reward: 2, safety: [-1] },
  { prompt: 'b', reward: 1, safety: [0] },
];
const LIMITS = [{ margin: 0.1 }];
const LINES = ROWS.map((row) => JSON.stringify(row)).join('\n');
const app = createApp();

function postJson(path: string, body: unknown, to = app) {
  const headers = { 'content-type': 'application/json' };
  return to.request(path, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

function postLines(path: string, body = LINES, headers: Record<string, string> = {}, to = app) {
  return to.request(path, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/x-ndjson', ...headers },
  });
}

async function problem(response: Response | Promise<Response>) {
  const answer = await response;
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  const { type, title, status, detail, ...rest } = await answer.json();
  expect({ type, status, rest }).toEqual({ type: 'about:blank', status: answer.status, rest: {} });
  expect(title).toMatch(/^[A-Z]/);
  return `${status} ${detail}`;
}

/** Two safety scores, some responses weighted. */
const PAIRS = {
  reward: [
    [1.5, 0.5, 1],
    [2, 0.25],
  ],
  safety: [
    [
      [-0.5, 1, 0],
      [-1, 0.75],
    ],
    [
      [0.5, 0, -1],
      [1, 0.25],
    ],
  ],
  weights: [
    [1, 2, 1],
    [1, 0.5],
  ],
};
const PAIRED = {
  prompts: 2,
  responses: Uint32Array.of(3, 2),
  reward: Float64Array.from(PAIRS.reward.flat()),
  safety: Float64Array.from(PAIRS.safety.flat(2)),
  weights: Float64Array.from(PAIRS.weights.flat()),
};

test('bad scores are 400', async () => {
  const arrays = (scores: unknown) => problem(postJson('/v1/dual', { scores, beta: 1, limits: LIMITS }));
  expect(await problem(postJson('/v1/dual', '{"scores"'))).toMatch(/^400 .*JSON/);
  expect(await problem(postJson('/v1/dual', [1]))).toMatch(/^400 .*object/);
  expect(await problem(postJson('/v1/dual', { beta: 1, limits: LIMITS }))).toMatch(
    /^400 scores: expected rows/,
  );
  expect(await arrays([])).toMatch(/^400 scores: .*found none/);
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const within = (scores: string) =>
    problem(postJson('/v1/dual', `{"scores":${scores},"beta":1,"limits":[{"margin":0}]}`));
  expect(await within(deep)).toMatch(/^400 scores: row 1: expected an object/);
  expect(await within(`[{"prompt":${deep},"reward":1,"safety":1}]`)).toMatch(
    /^400 scores: row 1: .*"prompt"/,
  );
  expect(await within('[{"prompt":"a","reward":1e999,"safety":1}]')).toMatch(/^400 .*"reward", got Infinity/);
  expect(await problem(postJson('/v1/dual', '{"beta":"\ud800'))).toMatch(/^400 .*JSON/);
  expect(await arrays([{ prompt: 'a', reward: 'x', safety: [0] }])).toMatch(/^400 scores: row 1: .*"reward"/);
  expect(await arrays({ reward: [[1, 2]], safety: [[1, 'x']] })).toMatch(/^400 scores.safety\[0\]\[0\]\[1\]/);
  expect(await arrays({ reward: [[1, 2]], safety: [[[1]]] })).toMatch(/^400 scores.safety\[0\]: .*as many/);
  expect(await arrays({ reward: [1], safety: [[[1]]] })).toMatch(/^400 scores.reward/);
  expect(await problem(postLines('/v1/dual?beta=1&margin=0', 'no scores'))).toMatch(/^400 scores: row 1/);
  expect(await problem(postLines('/v1/dual?beta=1&margin=0', ''))).toMatch(/^400 scores: .*empty/);
  const cut = new Uint8Array([64, 0, 0, 0, 0, 0, 0, 0, 123]);
  expect(await problem(app.request('/v1/dual?beta=1&margin=0', { method: 'POST', body: cut }))).toMatch(
    /^400 scores: .*safetensors/,
  );
});

test('parameters that do not fit are 422', async () => {
  const dual = (parameters: object) => problem(postJson('/v1/dual', { scores: ROWS, ...parameters }));
  expect(await dual({ limits: LIMITS })).toMatch(/^422 beta/);
  expect(await dual({ beta: 0, limits: LIMITS })).toMatch(/^422 beta/);
  expect(await dual({ beta: 1e-99, limits: LIMITS })).toMatch(/^422 beta/);
  expect(await dual({ beta: 1 })).toMatch(/^422 limits/);
  expect(await dual({ beta: 1, limits: [...LIMITS, ...LIMITS] })).toMatch(/^422 limits: expected 1/);
  expect(await dual({ beta: 1, limits: [{ treshold: 1 }] })).toMatch(/^422 limits.0: expected {"threshold"/);
  expect(await dual({ beta: 1, limits: LIMITS, replicates: 5 })).toMatch(/^422 replicates: .*no such/);
  expect(await dual({ beta: 1, limits: LIMITS, bootstrap: 1.5 })).toMatch(/^422 bootstrap/);
  expect(await dual({ beta: 1, limits: LIMITS, scoreError: [1, 2, 3] })).toMatch(/^422 score errors: .* 2,/);
  expect(await dual({ beta: 1, limits: LIMITS, scoreError: [-1] })).toMatch(/^422 score errors/);
  expect(await problem(postLines('/v1/curve?beta=1&lambda=-1'))).toMatch(/^422 lambda/);
  expect(await problem(postLines('/v1/curve?beta=1&grid=3'))).toMatch(/^422 grid: expected two/);
  expect(await problem(postLines('/v1/curve?beta=1&axis=2&margin=0'))).toMatch(/^422 axis: expected 1 to 1/);
  expect(await problem(postLines('/v1/curve?beta=1&direction=0&margin=0'))).toMatch(/^422 direction/);
  expect(await problem(postLines('/v1/curve?beta=1&grid=3&lambda=1'))).toMatch(/^422 .*grid and lambda/);
  expect(await problem(postLines('/v1/dual?beta=x&margin=0'))).toMatch(/^422 beta/);
  expect(await problem(postLines('/v1/dual?beta=1&beta=2&margin=0'))).toMatch(/^422 beta: expected once/);
  expect(await problem(postLines('/v1/curve?beta=1&from=Infinity'))).toMatch(/^422 from/);
  expect(await problem(postLines('/v1/curve?beta=1&maxKl=1&minReward=0'))).toMatch(
    /^422 .*maxKl and minReward/,
  );
  expect(await problem(postLines('/v1/plan?beta=1&threshold=50'))).toMatch(/^422 .*infeasible/);
});

test('other paths, methods and encodings have their own status', async () => {
  expect(await problem(app.request('/v2/dual'))).toMatch(/^404/);
  const wrong = await app.request('/v1/dual');
  expect(wrong.headers.get('allow')).toBe('POST');
  expect(await problem(wrong)).toMatch(/^405/);
  expect(await problem(app.request('/health', { method: 'DELETE' }))).toMatch(/^405/);
  expect(await problem(postLines('/v1/dual?beta=1&margin=0', LINES, { 'content-encoding': 'gzip' }))).toMatch(
    /^415/,
  );
});

test('a body that stalls is given up', async () => {
  const slow = createApp({ maxBodySeconds: 0.05 });
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode(LINES.slice(0, 20))),
    cancel: () => {
      cancelled = true;
    },
  });
  const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
  expect(await problem(slow.request('/v1/dual?beta=1&margin=0', init))).toMatch(/^408/);
  expect(cancelled).toBe(true);
});

test('a request that asks for too much computing is refused before it computes', async () => {
  const small = createApp({ maxWork: 10_000 });
  const ask = (path: string) => postLines(path, LINES, {}, small);
  expect((await ask('/v1/dual?beta=1&margin=0.1')).status).toBe(200);
  expect(await problem(ask('/v1/dual?beta=1&margin=0.1&bootstrap=1000'))).toMatch(/^422 .*terms/);
  expect(await problem(ask('/v1/curve?beta=1&points=1000'))).toMatch(/^422 .*terms/);
  expect(await problem(ask('/v1/plan?beta=1&margin=0.1&subsets=1000'))).toMatch(/^422 .*terms/);
  const wide = [{ prompt: 'a', reward: 1, safety: new Array(33).fill(0) }];
  const limits = new Array(33).fill({ threshold: 0 });
  expect(await problem(postJson('/v1/dual', { scores: wide, beta: 1, limits }))).toMatch(/^422 .*33/);
});

test('a fault of the service tells the client nothing of its inside', async () => {
  const broken = createApp();
  broken.get('/broken', () => {
    throw new Error('secret');
  });
  const log = console.error;
  console.error = () => {};
  try {
    expect(await problem(broken.request('/broken'))).toMatch(/^500 (?!.*secret)/);
  } finally {
    console.error = log;
  }
});

test('answers of each kind are as the document describes them', async () => {
  const answer = async (path: string) => (await postLines(path)).json();
  for (const [schema, path] of [
    [DUAL_ANSWER, '/v1/dual?beta=1&margin=0.1&bootstrap=20&confidence=0.9'],
    [DUAL_ANSWER, '/v1/dual?beta=1&margin=0.1&scoreError=0.01&scoreError=0'],
    [DUAL_ANSWER, '/v1/dual?beta=1&threshold=0.875'],
    [DUAL_ANSWER, '/v1/dual?beta=1&threshold=50&bootstrap=20'],
    [CURVE_ANSWER, '/v1/curve?beta=1&points=5'],
    [CURVE_ANSWER, '/v1/curve?beta=1&maxKl=0.5'],
    [CURVE_ANSWER, '/v1/curve?beta=1&lambda=0.5'],
    [PLAN_ANSWER, '/v1/plan?beta=1&margin=0.1&target=0.5&subsets=4'],
  ] as const) {
    const result = v.safeParse(schema, await answer(path));
    expect(
      result.issues?.map(({ message, path }) => [message, path?.map(({ key }) => key)]),
      path,
    ).toBeUndefined();
  }
});

test('curves of several scores, and score errors, are those of the library, with weights', async () => {
  const limits = [{ threshold: -0.2 }, { margin: 0 }];
  const thresholds = await thresholdsOf(PAIRED, limits);
  const solved = { ...PAIRED, beta: 1, thresholds, relative: [false, true] };
  const ask = async (path: string, parameters: object) => {
    const response = await postJson(`/v1/${path}`, { scores: PAIRS, beta: 1, ...parameters });
    const answer = await response.text();
    expect(
      v.safeParse(path === 'dual' ? DUAL_ANSWER : CURVE_ANSWER, JSON.parse(answer)).issues,
    ).toBeUndefined();
    return answer;
  };
  expect(await ask('curve', { limits, axis: 2, points: 4 })).toBe(
    JSON.stringify(await axisPath(solved, 2, { points: 4 })),
  );
  expect(await ask('curve', { limits, direction: [1, 0.5], points: 3 })).toBe(
    JSON.stringify(await directionPath(solved, [1, 0.5], { points: 3 })),
  );
  expect(await ask('curve', { grid: 3 })).toBe(JSON.stringify(await thresholdGrid(PAIRED, 1, 3)));
  const [{ safety }] = await describePolicies(PAIRED, 1, [[0.5, 0.2]]);
  expect(JSON.parse(await ask('curve', { lambda: [0.5, 0.2] })).thresholds).toEqual(safety);
  const errors = await stability(solved, { reward: 0.01, safety: [0, 0.02] });
  expect(
    JSON.stringify(JSON.parse(await ask('dual', { limits, scoreError: [0.01, 0, 0.02] })).stability),
  ).toBe(JSON.stringify(errors));
});

test('the document names each operation, resolves its references and agrees with the schemas', async () => {
  const document = await (await createApp({ token: 'x' }).request('/openapi.json')).json();
  expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'dualign' } });
  for (const [name, schema] of Object.entries({ dual: DUAL, curve: CURVE, plan: PLAN })) {
    const { post } = document.paths[`/v1/${name}`];
    const body = post.requestBody.content['application/json'];
    expect(Object.keys(body.schema.properties)).toEqual(['scores', ...Object.keys(schema.entries)]);
    expect(body.schema.required).toContain('beta');
    expect(post.security).toEqual([{ token: [] }]);
    expect(post.parameters.map((parameter: { name: string }) => parameter.name)).toContain('beta');
    expect((await postJson(`/v1/${name}`, body.example)).status, name).toBe(200);
  }
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path);
  expect(references.length).toBeGreaterThan(0);
  for (const reference of references) {
    const target = reference.split('/').reduce((part, key) => part?.[key], document);
    expect(target, reference).toBeTypeOf('object');
  }
});

test('the page is whole in itself and its policy allows just its own script', async () => {
  const response = await app.request('/');
  const page = await response.text();
  expect(page).not.toMatch(/(src|href)="(?!data:|\/openapi)|@import|url\(/);
  const policy = response.headers.get('content-security-policy')!;
  for (const tag of ['style', 'script']) {
    const text = new RegExp(`<${tag}[^>]*>([^]*?)</${tag}>`).exec(page)![1];
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
    expect(policy).toContain(`${tag}-src 'sha256-${Buffer.from(digest).toString('base64')}'`);
  }
});

test('options come from the environment, and a wrong one is named', () => {
  expect(optionsFrom({ DUALIGN_TOKEN: 't', DUALIGN_MAX_WORK: '5', DUALIGN_CORS_ORIGINS: '' })).toMatchObject({
    token: 't',
    maxWork: 5,
    corsOrigins: undefined,
  });
  expect(() => optionsFrom({ DUALIGN_MAX_BODY_BYTES: '1 MB' })).toThrow('DUALIGN_MAX_BODY_BYTES');
});
