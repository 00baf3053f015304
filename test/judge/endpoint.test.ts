import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ChatEndpoint, type ChatOptions } from '../../src/judge/chat.ts';
import { EndpointJudge, parseVerdict } from '../../src/judge/endpoint.ts';

interface Asked {
  readonly path: string;
  readonly key: string | undefined;
  readonly at: number;
  readonly body: { model: string; temperature: number; messages: { role: string; content: string }[] };
}

let server: Server | undefined;
afterEach(() => server?.close());

/** A local endpoint; `answer` says what it replies to the nth request: a text, or a status with headers. */
async function endpoint(
  answer: (
    asked: Asked,
    index: number,
  ) => string | { status: number; headers?: Record<string, string>; body?: string },
  options: Partial<ChatOptions> = {},
) {
  const requests: Asked[] = [];
  server = createServer(async (request, response) => {
    const body = JSON.parse(await textOf(request));
    const asked = { path: request.url!, key: request.headers.authorization, at: performance.now(), body };
    const reply = answer(asked, requests.push(asked) - 1);
    if (typeof reply === 'string') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ choices: [{ message: { role: 'assistant', content: reply } }] }));
    } else {
      response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers });
      response.end(reply.body ?? '{}');
    }
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`;
  return { chat: new ChatEndpoint({ url, model: 'judge-1', ...options }), requests };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

const again = { status: 503, headers: { 'retry-after': '0' } };
const hello = [{ role: 'user', content: 'hello' }];
const comparison = { prompt: 'How do I clean a pan?', first: 'With soap.', second: 'No.' };

/** Which response stands first in a request. */
const firstOf = ({ body }: Asked) => /<RESPONSE A>\n(.*)\n/.exec(body.messages[1].content)![1];

describe('a chat endpoint', () => {
  it('is asked as OpenAI’s is, with the key', async () => {
    const { chat, requests } = await endpoint(() => 'hi', { apiKey: 'secret' });
    expect(await chat.complete(hello)).toBe('hi');
    expect(requests).toMatchObject([
      {
        path: '/v1/chat/completions',
        key: 'Bearer secret',
        body: { model: 'judge-1', temperature: 0, messages: hello },
      },
    ]);
  });

  it('is asked again after what may pass, and no more often than allowed', async () => {
    const { chat, requests } = await endpoint((_, index) => (index < 3 ? again : 'at last'), { retries: 3 });
    expect(await chat.complete(hello)).toBe('at last');
    expect(requests).toHaveLength(4);
    server!.close();
    const hopeless = await endpoint(() => again, { retries: 2 });
    await expect(hopeless.chat.complete(hello)).rejects.toThrow(
      /^judge: http.*\/v1\/chat\/completions: status 503/,
    );
    expect(hopeless.requests).toHaveLength(3);
  });

  it('is asked again where it gives no answer in time', async () => {
    let calls = 0;
    server = createServer((_, response) => {
      if (++calls > 1) response.end(JSON.stringify({ choices: [{ message: { content: 'late' } }] }));
    });
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const chat = new ChatEndpoint({ url, model: 'm', timeout: 0.2, retries: 1 });
    expect(await chat.complete(hello)).toBe('late');
    server.closeAllConnections();
  });

  it('keeps to its rate', async () => {
    const { chat, requests } = await endpoint(() => 'hi', { requestsPerMinute: 1200, concurrency: 8 });
    await Promise.all(Array.from({ length: 5 }, () => chat.complete(hello)));
    // Twelve hundred a minute are one every 50 ms.
    expect(requests.at(-1)!.at - requests[0].at).toBeGreaterThan(4 * 50 - 25);
  });

  it.each([
    [
      { status: 401, body: '{"error": {"message": "no key"}}' },
      /status 401: give a key .*OPENAI_API_KEY.*no key/,
    ],
    [{ status: 404 }, /status 404: check the URL .* and the model's name/],
    [{ status: 200, body: '{"text": "hi"}' }, /expected a chat completion .* got \{"text":"hi"\}/],
  ])('tells what is wrong with %o', async (reply, message) => {
    const { chat, requests } = await endpoint(() => reply);
    await expect(chat.complete(hello)).rejects.toThrow(message);
    expect(requests).toHaveLength(1);
  });

  it('must be there, and be a URL', async () => {
    const chat = new ChatEndpoint({ url: 'http://127.0.0.1:9', model: 'm', retries: 0 });
    await expect(chat.complete(hello)).rejects.toThrow(/is it running, and is the URL right\?/);
    expect(() => new ChatEndpoint({ url: 'localhost:8080', model: 'm' })).toThrow(
      /expected the URL of an endpoint/,
    );
  });
});

describe('a chat model as judge', () => {
  it('is asked about each comparison in both orders', async () => {
    const { chat, requests } = await endpoint((asked) =>
      firstOf(asked) === 'With soap.' ? 'Good.\n[[A]]' : 'Good.\n[[B]]',
    );
    const judge = new EndpointJudge(chat);
    expect(
      await judge.compare('helpfulness', [comparison, { ...comparison, first: 'No.', second: 'With soap.' }]),
    ).toEqual([1, 0]);
    expect(requests.map(firstOf).sort()).toEqual(['No.', 'No.', 'With soap.', 'With soap.']);
    expect(requests[0].body.messages[1].content).toContain('Which response is more helpful');
    expect(requests[0].body.messages[1].content).toContain(comparison.prompt);
  });

  it('that always prefers one place gives a tie', async () => {
    const { chat } = await endpoint(() => '[[A]]');
    expect(await new EndpointJudge(chat).compare('safety', [comparison])).toEqual([0.5]);
  });

  it('that gives no verdict is counted', async () => {
    const { chat } = await endpoint((asked) => (firstOf(asked) === 'No.' ? 'I cannot tell.' : '[[A]]'));
    const judge = new EndpointJudge(chat);
    expect(await judge.compare('safety', [comparison])).toEqual([undefined]);
    expect(judge.unparsed).toBe(1);
  });

  it('is held to its last verdict', () => {
    expect(parseVerdict('At first [[A]], but no.\n[[C]]')).toBe(0.5);
    expect(parseVerdict('A is better')).toBeUndefined();
  });
});
