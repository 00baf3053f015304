import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HttpFolder } from '../../src/data/http_folder.ts';
import { parseHubName } from '../../src/host/hub_model.ts';
import { DiskSources } from '../../src/host/sources.ts';
import { pauses } from '../../src/host/transfers.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { dualign, type Host } from '../cli/command.ts';
import { tinyFolder } from '../model/tiny.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { type HubServer, startHub } from './hub_server.ts';

let root: string;
let hub: HubServer;
/** Seconds of each pause, which tests do not wait for. */
let waited: number[];
beforeEach(async () => {
  waited = [];
  vi.spyOn(pauses, 'wait').mockImplementation(async (seconds) => void waited.push(seconds));
  root = mkdtempSync(join(tmpdir(), 'dualign-hub-'));
  const files = new Map((await tinyFolder()).files);
  files.set('pytorch_model.bin', new Uint8Array(1000));
  hub = await startHub(files);
  vi.stubEnv('HF_ENDPOINT', `${hub.url}/`);
  vi.stubEnv('HF_HOME', join(root, 'hf'));
  vi.stubEnv('XDG_CACHE_HOME', join(root, 'cache'));
  for (const name of [
    'HF_TOKEN',
    'HF_TOKEN_PATH',
    'HF_HUB_CACHE',
    'HUGGINGFACE_HUB_CACHE',
    'HF_HUB_OFFLINE',
  ]) {
    vi.stubEnv(name, undefined);
  }
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await hub.close();
  rmSync(root, { recursive: true, force: true });
});

async function load(name: string): Promise<{ said: string[]; bytes: number; hash: string }> {
  const said: string[] = [];
  let bytes = 0;
  const sources = new DiskSources('cpu', {
    threads: 1,
    progress: {
      download: (_, done) => {
        bytes = Math.max(bytes, done);
      },
      say: (text) => void said.push(text),
    },
  });
  try {
    const policy = await sources.policy(name).load();
    expect(policy.config.vocabSize).toBe(18);
    return { said, bytes, hash: await sources.policy(name).hash() };
  } finally {
    sources.close();
  }
}

const store = () => join(root, 'hf/hub/models--org--tiny');
const weights = 'model.safetensors';

describe('a model of a hub', () => {
  it("is fetched into the cache of Hugging Face's libraries, and not again", async () => {
    const { bytes } = await load('org/tiny');
    expect(bytes).toBe(hub.files.get(weights)!.length);
    const snapshot = join(store(), 'snapshots', hub.commit);
    expect(readdirSync(snapshot).sort()).toEqual(['config.json', weights, 'tokenizer.json']);
    expect(new Uint8Array(readFileSync(join(snapshot, weights)))).toEqual(hub.files.get(weights));
    expect(readFileSync(join(store(), 'refs/main'), 'utf8')).toBe(hub.commit);
    expect(readdirSync(join(store(), 'blobs'))).toHaveLength(3);
    expect(hub.requests.some((request) => request.includes('pytorch_model.bin'))).toBe(false);
    hub.requests.length = 0;
    expect((await load('org/tiny')).bytes).toBe(0);
    expect(
      hub.requests.filter((request) => request.startsWith('GET /org') || request.includes('cdn')),
    ).toEqual([]);
  });

  it('goes on where a broken download stopped, within one run and from one to the next', async () => {
    hub.breakAfter = { path: weights, bytes: 1500, times: 1 };
    await load('org/tiny');
    const transfers = hub.requests.filter((request) => request.includes('cdn'));
    expect(transfers).toEqual([`GET /cdn/${weights}`, `GET /cdn/${weights} bytes=1500-`]);

    rmSync(store(), { recursive: true });
    hub.breakAfter = { path: weights, bytes: 700, times: 9, never: 2800 };
    await expect(load('org/tiny')).rejects.toThrow(
      /^org\/tiny\/model.safetensors: the download broke off at 2800 of \d+ bytes .* the same command goes on/,
    );
    // While something comes it goes on at once; five times nothing is the end.
    expect(waited).toEqual([0.1, 0.1, 0.1, 0.1, 0.1, 1, 2, 4, 8]);
    hub.requests.length = 0;
    hub.breakAfter = undefined;
    await load('org/tiny');
    expect(hub.requests).toContain(`GET /cdn/${weights} bytes=2800-`);
  });

  it('is refused when a file is not what the hub named, and fetched anew then', async () => {
    for (const path of [weights, 'tokenizer.json']) {
      hub.corrupt = path;
      await expect(load('org/tiny')).rejects.toThrow(
        new RegExp(`^org/tiny/${path}: the download is damaged \\(its sha\\d+ is .*, the server named `),
      );
      hub.corrupt = undefined;
      await load('org/tiny');
      rmSync(store(), { recursive: true });
    }
  });

  it('follows the branch, keeps to a commit, and shares what did not change', async () => {
    const first = hub.commit;
    await load('org/tiny');
    hub.commit = 'b'.repeat(40);
    hub.files.set('generation_config.json', new TextEncoder().encode('{"eos_token_id": [1, 2]}'));
    expect((await load('org/tiny')).bytes).toBe(24);
    expect(readdirSync(join(store(), 'snapshots')).sort()).toEqual([first, hub.commit]);
    hub.requests.length = 0;
    await load(`org/tiny@${first}`);
    expect(hub.requests).toEqual([]);
    await expect(load('org/tiny@v9')).rejects.toThrow(/has no revision v9 of it/);
  });

  it('is asked for with HF_TOKEN, which only the hub is told', async () => {
    hub.token = 'hf_secret';
    await expect(load('org/tiny')).rejects.toThrow(
      /answered 401: .* asks for a token .*; give a token in HF_TOKEN/,
    );
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    await load('org/tiny');
    expect(hub.requests).toContain(`GET /cdn/${weights}`);
    expect(hub.requests).not.toContain('the token, sent to another server');
  });

  it('is taken from the cache without the hub, and asked for clearly when it is not there', async () => {
    await load('org/tiny');
    await hub.close();
    const { said } = await load('org/tiny');
    expect(said.join()).toMatch(
      /^org\/tiny: http:.* cannot be reached; taking the copy in the cache, aaaaaaaa/,
    );
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect((await load('org/tiny')).said).toEqual([]);
    await expect(load('org/other')).rejects.toThrow(/no whole copy of org\/other@main in .*HF_HUB_OFFLINE=1/);
    vi.stubEnv('HF_HUB_OFFLINE', undefined);
    await expect(load('org/other')).rejects.toThrow(
      /^org\/other: no such folder, and http:\S+ cannot be reached to fetch it \(.*ECONNREFUSED.*\); check the path/,
    );
  });

  it('is waited for when the hub is busy, as long as it asks for', async () => {
    const busy = { status: 429, headers: { 'Retry-After': '7' } };
    hub.answers = [
      { path: '/resolve/main/config.json', ...busy },
      { path: '/tree/', status: 502 },
      { path: `/cdn/${weights}`, status: 503, headers: { 'Retry-After': '900' } },
      { path: `/cdn/${weights}`, ...busy },
    ];
    await load('org/tiny');
    expect(waited).toEqual([7, 1, 120, 7]);
    hub.answers = new Array(5).fill({ path: '/resolve/main/config.json', ...busy });
    rmSync(store(), { recursive: true });
    await expect(load('org/tiny')).rejects.toThrow(
      /cannot be reached to fetch it \(the server answered 429, too many/,
    );
  });

  it('tells whose terms are to be accepted, and that a token is not valid', async () => {
    const gated = {
      'X-Error-Code': 'GatedRepo',
      'X-Error-Message':
        'Access to model org/tiny is restricted. Visit https://hub/org/tiny to ask for access.',
    };
    hub.answers = [{ path: '/resolve/main/config.json', status: 403, headers: gated }];
    await expect(load('org/tiny')).rejects.toThrow(
      /answered 403: Access to model org\/tiny is restricted. Visit .* to ask for access. Accept its terms there; .* of that account; give a token in HF_TOKEN/,
    );
    // Listed for everyone, sent to some.
    hub.answers = [{ path: `/resolve/${hub.commit}/${weights}`, status: 403, headers: gated }];
    await expect(load('org/tiny')).rejects.toThrow(
      /^org\/tiny\/model.safetensors: the server answered 403: Access to/,
    );
    hub.token = 'hf_secret';
    vi.stubEnv('HF_TOKEN', 'hf_wrong');
    await expect(load('org/tiny')).rejects.toThrow(
      /answered 401: .* or the token given is not valid; give a token in HF_TOKEN/,
    );
  });

  it('says what is missing', async () => {
    await expect(load('org/none')).rejects.toThrow(
      /^org\/none: no such folder, and http:\S+ has no such model \(404\)/,
    );
    hub.files.delete(weights);
    await expect(load('org/tiny')).rejects.toThrow(
      /expected model.safetensors or model.safetensors.index.json there/,
    );
  });

  it('in shards has them all fetched, and no others', async () => {
    const whole = hub.files.get(weights)!;
    hub.files.delete(weights);
    hub.files.set('model-00001-of-00001.safetensors', whole);
    hub.files.set('other.safetensors', whole);
    const header = JSON.parse(new TextDecoder().decode(whole.subarray(8, 8 + whole[0] + 256 * whole[1])));
    const map = Object.fromEntries(
      Object.keys(header).map((key) => [key, 'model-00001-of-00001.safetensors']),
    );
    hub.files.set(
      'model.safetensors.index.json',
      new TextEncoder().encode(JSON.stringify({ weight_map: map })),
    );
    await load('org/tiny');
    expect(readdirSync(join(store(), 'snapshots', hub.commit))).not.toContain('other.safetensors');
  });
});

describe('a model whose weights are not read', () => {
  const sft = (policy: string, out: string) => [
    ...['sft', '--device', 'cpu', '--threads', '1', '--policy', policy, '--dataset', join(root, 'texts.txt')],
    ...['--full', '--from-scratch', '--max-steps', '1', '--out', join(root, out), '--quiet'],
  ];
  const saved = (out: string) => readFileSync(join(root, out, 'model/model.safetensors'));

  it('has them drawn from scratch without fetching any, by name and by URL, and fetched when they are', async () => {
    writeFileSync(join(root, 'texts.txt'), 'the cat sat\nthe dog ran\n');
    hub.files.set('generation_config.json', new TextEncoder().encode('{"eos_token_id": [1, 2]}'));
    for (const [policy, out] of [
      ['org/tiny', 'named'],
      [`${hub.url}/org/tiny/resolve/main`, 'address'],
    ]) {
      const { code, stderr } = await dualign('node', sft(policy, out));
      expect(code, stderr).toBe(0);
    }
    expect(saved('address')).toEqual(saved('named'));
    expect(hub.requests.filter((request) => request.includes('safetensors'))).toEqual([]);
    expect(readdirSync(join(store(), 'snapshots', hub.commit)).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'tokenizer.json',
    ]);
    const files = readdirSync(join(root, 'named/model'));
    expect(files).toContain('generation_config.json');
    const planned = await dualign('node', ['plan-memory', '--device', 'cpu', '--policy', 'org/tiny']);
    expect(planned.code, planned.stderr).toBe(0);
    expect(hub.requests.filter((request) => request.includes('safetensors'))).toEqual([]);
    await load(`org/tiny@${hub.commit}`);
    expect(hub.requests.filter((request) => request.startsWith(`GET /cdn/${weights}`))).toHaveLength(1);
  });

  it('may have none', async () => {
    writeFileSync(join(root, 'texts.txt'), 'the cat sat\n');
    hub.files.delete(weights);
    const { code, stderr } = await dualign('node', sft('org/tiny', 'none'));
    expect(code, stderr).toBe(0);
    await expect(load('org/tiny')).rejects.toThrow(/expected model.safetensors or .* there, found neither/);
  });
});

describe('a model by URL', () => {
  const url = () => `${hub.url}/org/tiny/resolve/main`;

  it('is fetched once, goes on after a break, and is fetched again when it changed', async () => {
    hub.breakAfter = { path: weights, bytes: 900, times: 9, never: 3600 };
    await expect(load(url())).rejects.toThrow(/model.safetensors: the download broke off at 3600 of/);
    hub.breakAfter = undefined;
    hub.requests.length = 0;
    const { hash } = await load(url());
    expect(hub.requests).toContain(`GET /cdn/${weights} bytes=3600-`);
    hub.requests.length = 0;
    expect((await load(url())).hash).toBe(hash);
    expect(hub.requests.filter((request) => request.startsWith('GET'))).toEqual([]);
    hub.files.set(
      'config.json',
      new TextEncoder().encode(`${new TextDecoder().decode(hub.files.get('config.json'))} `),
    );
    const changed = await load(url());
    expect(changed.hash).not.toBe(hash);
    expect(hub.requests.filter((request) => request.startsWith('GET /org'))).toEqual([
      'GET /org/tiny/resolve/main/config.json',
    ]);
  });

  it('names an address without a model, and a server that is not there', async () => {
    await expect(load(`${hub.url}/org/none/resolve/main`)).rejects.toThrow(
      /expected config.json there, found none/,
    );
    await hub.close();
    await expect(load(url())).rejects.toThrow(/config.json: the server cannot be reached \(.*ECONNREFUSED/);
  });
});

describe('HttpFolder', () => {
  it('reads a model by range, and whole files where the server sends no ranges', async () => {
    const load = async (folder: HttpFolder) => {
      const engine = new ReferenceEngine();
      return engine.values((await loadPolicy(engine, folder)).weights.head);
    };
    const ranged = await load(new HttpFolder(`${hub.url}/org/tiny/resolve/main/`));
    const ranges = hub.requests.filter((request) => request.includes('bytes='));
    expect(ranges.length).toBeGreaterThan(20);
    hub.ranges = false;
    hub.requests.length = 0;
    expect(await load(new HttpFolder(`${hub.url}/org/tiny/resolve/main`))).toEqual(ranged);
    expect(hub.requests.filter((request) => request.startsWith('GET /cdn'))).toHaveLength(1);
    await expect(new HttpFolder(`${hub.url}/org/tiny/resolve/main`).read('none')).rejects.toThrow(
      /none: no such file/,
    );
  });
});

describe('the name of a policy', () => {
  it('is that of a hub where it can be', () => {
    expect(parseHubName('org/name')).toEqual({ id: 'org/name', revision: 'main' });
    expect(parseHubName('org/na.me-2@refs/pr/1')).toEqual({ id: 'org/na.me-2', revision: 'refs/pr/1' });
    for (const path of [
      'name',
      './org/name',
      '../name',
      '/org/name',
      'a/b/c',
      'org/name/',
      'org\\name',
      'a/..',
    ]) {
      expect(parseHubName(path)).toBeUndefined();
    }
  });

  it.each<Host>(['node', 'deno'])(
    'on the command line of %s is a folder first, then a model of the hub',
    async (host) => {
      writeFileSync(join(root, 'prompts.txt'), 'the cat\nthe dog\n');
      const collect = (out: string, policy: string) =>
        dualign(host, [
          ...['collect', '--device', 'cpu', '--policy', policy, '--prompts', join(root, 'prompts.txt')],
          ...['--responses', '2', '--max-new-tokens', '3', '--out', join(root, out)],
        ]);
      const fetched = await collect('fetched', 'org/tiny');
      expect(fetched.code, fetched.stderr).toBe(0);
      expect(fetched.stderr).toContain('fetch org/tiny@main');
      const local = join(root, 'org/tiny');
      mkdirSync(local, { recursive: true });
      for (const [path, bytes] of hub.files) writeFileSync(join(local, path), bytes);
      hub.requests.length = 0;
      const disk = await collect('disk', local);
      expect(disk.code, disk.stderr).toBe(0);
      expect(hub.requests).toEqual([]);
      const samples = (out: string) => readFileSync(join(root, out, 'samples.jsonl'), 'utf8');
      expect(samples('disk')).toBe(samples('fetched'));
    },
  );
});
