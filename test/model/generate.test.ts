import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { UserError } from '../../src/errors.ts';
import { generate, responseText, streamTokens } from '../../src/model/generate.ts';
import { forward, tokenBatch } from '../../src/model/llama.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import type { Policy } from '../../src/model/policy.ts';
import { addAdapter } from '../../src/model/policy.ts';
import { Tokenizer } from '../../src/model/tokenizer.ts';
import { keyOf, Random } from '../../src/random.ts';
import { enginesAndGpu } from './engines.ts';
import { goldenAdapter, hasFixtures, loadStories, storiesPath } from './golden.ts';

const key = keyOf(11, 'sample');
const prompts = ['Once upon a time', 'The big dog', 'One day, a girl named Sue saw', 'Tim'];
const sampling = { maxNewTokens: 20, temperature: 0.9, topK: 50, topP: 0.95, key };

describe.skipIf(!hasFixtures).each(enginesAndGpu)('sampling and scoring on the $name engine', ({ open }) => {
  let engine: Engine;
  let policy: Policy;
  let rows: { ids: number[]; stream: [number, number] }[];
  beforeAll(async () => {
    engine = await open();
    policy = await loadStories(engine);
    rows = prompts.map((prompt, row) => ({ ids: policy.tokenizer.encode(prompt), stream: [row, 0] }));
  });
  afterAll(() => engine?.destroy());

  it('gives a row the same tokens whatever stands beside it', async () => {
    const together = await generate(policy, rows, sampling);
    const inPairs = await generate(policy, rows.toReversed(), { ...sampling, batchSize: 2 });
    expect(inPairs.toReversed()).toEqual(together);
    const repeated = rows.flatMap(({ ids }, row) =>
      [0, 1].map((draw) => ({ ids, stream: [row, draw] as const })),
    );
    const twice = await generate(policy, repeated, { ...sampling, batchSize: 3 });
    expect(twice.filter((_, index) => index % 2 === 0)).toEqual(together);
    const [alone] = await generate(policy, rows.slice(2, 3), sampling);
    expect(alone).toEqual(together[2]);
    expect(together.every(({ ids }) => ids.length === 20)).toBe(true);
  });

  it('draws other tokens for another stream, key or policy', async () => {
    const row = rows[1];
    const [{ ids }] = await generate(policy, [row], sampling);
    const [other] = await generate(policy, [{ ...row, stream: [1, 1] }], sampling);
    const [another] = await generate(policy, [row], { ...sampling, key: keyOf(12, 'sample') });
    expect(other.ids).not.toEqual(ids);
    expect(another.ids).not.toEqual(ids);
    policy.adapter = goldenAdapter(policy);
    const [adapted] = await generate(policy, [row], sampling);
    const [plain] = await generate(policy, [row], { ...sampling, adapter: false });
    policy.adapter = undefined;
    expect(adapted.ids).not.toEqual(ids);
    expect(plain.ids).toEqual(ids);
  });

  it('gives with a cache what the whole sequence gives without', async () => {
    policy.adapter = goldenAdapter(policy);
    const generations = await generate(policy, rows, sampling);
    const { vocabSize, hiddenSize } = policy.config;
    const next = engine.tensor([1], 'u32');
    const logits = engine.tensor([1, vocabSize]);
    const last = engine.tensor([1, hiddenSize]);
    for (const [row, { ids }] of generations.entries()) {
      const sequence = [...rows[row].ids];
      for (const token of ids.slice(0, 12)) {
        const hidden = forward(policy, tokenBatch(policy, [sequence]), { adapter: policy.adapter });
        engine.gatherRows(last, hidden, engine.upload(new Uint32Array([sequence.length - 1]), [1]));
        engine.matmul(logits, last, policy.weights.head, { transposeB: true });
        const stream = engine.upload(new Uint32Array(rows[row].stream), [1, 2]);
        const length = engine.upload(new Uint32Array([sequence.length]), [1]);
        engine.sample(next, engine.tensor([1]), logits, stream, length, sampling);
        expect((await engine.readU32(next))[0]).toBe(token);
        sequence.push(token);
      }
    }
    policy.adapter = undefined;
  });

  it('ends a row at the first end-of-sequence token, which it keeps', async () => {
    const whole = await generate(policy, rows, { ...sampling, maxNewTokens: 40 });
    const stop = whole[0].ids[6];
    const cut = await generate({ ...policy, eosIds: [stop, 1] }, rows, { ...sampling, maxNewTokens: 40 });
    whole.forEach(({ ids }, row) => {
      const end = ids.indexOf(stop);
      expect(cut[row]).toMatchObject({ ids: end < 0 ? ids : ids.slice(0, end + 1), finished: end >= 0 });
    });
    expect(cut[0].ids.length).toBeLessThanOrEqual(7);
  });

  const settings = [
    {},
    { temperature: 0.7, topK: 40, topP: 0.9 },
    { temperature: 0.9, repetitionPenalty: 1.3 },
    { temperature: 0 },
  ];
  it.each(settings)('returns the log-probs that a second pass gives, drawn with %o', async (drawing) => {
    policy.adapter = goldenAdapter(policy);
    const generations = await generate(policy, rows, { maxNewTokens: 24, key, ...drawing });
    const completions = generations.map(({ ids }, row) => ({ promptIds: rows[row].ids, completionIds: ids }));
    const second = await sequenceLogps(policy, completions);
    policy.adapter = undefined;
    generations.forEach(({ ids, logps, samplingLogps }, row) => {
      expect([logps.length, samplingLogps.length]).toEqual([ids.length, ids.length]);
      const sum = logps.reduce((total, value) => total + value, 0);
      expect(Math.abs(sum - second[row])).toBeLessThan(1e-4 * Math.abs(second[row]) + 1e-4);
      if (Object.keys(drawing).length === 0) expect(samplingLogps).toEqual(logps);
      if (drawing.temperature === 0) expect([...samplingLogps]).toEqual(ids.map(() => 0));
    });
  });

  it('gives as sampling log-probs those of the tempered, penalized softmax', async () => {
    const penalty = 1.4;
    const temperature = 0.8;
    const [{ ids, samplingLogps }] = await generate(policy, [rows[0]], {
      maxNewTokens: 6,
      temperature,
      repetitionPenalty: penalty,
      key,
    });
    const { vocabSize, hiddenSize } = policy.config;
    const sequence = [...rows[0].ids];
    for (const [step, token] of ids.entries()) {
      const hidden = forward(policy, tokenBatch(policy, [sequence]));
      const [last, logits] = [engine.tensor([1, hiddenSize]), engine.tensor([1, vocabSize])];
      engine.gatherRows(last, hidden, engine.upload(new Uint32Array([sequence.length - 1]), [1]));
      engine.matmul(logits, last, policy.weights.head, { transposeB: true });
      const scores = [...(await engine.read(logits))].map((x, id) => {
        const repeated = sequence.includes(id);
        return (repeated ? (x < 0 ? x * penalty : x / penalty) : x) / temperature;
      });
      const most = Math.max(...scores);
      const lse = most + Math.log(scores.reduce((sum, x) => sum + Math.exp(x - most), 0));
      expect(samplingLogps[step]).toBeCloseTo(scores[token] - lse, 4);
      sequence.push(token);
    }
  });

  it('draws each token from the mixed logits of several adapters', async () => {
    const golden = goldenAdapter(policy);
    const drawn = addAdapter(policy, { r: 4, lora_alpha: 16, target_modules: ['q_proj', 'up_proj'] }, 7);
    const random = new Random(key, 1);
    const strong = new Map(
      [...drawn.entries()].map(({ key, shape: [m, n] }) => {
        return [key, Float32Array.from({ length: m * n }, () => random.uniform() - 0.5)];
      }),
    );
    drawn.assign(strong);
    const mixture = [
      { adapter: undefined, factor: -0.5 },
      { adapter: golden, factor: 1 },
      { adapter: drawn, factor: 0.5 },
    ];
    const options = { maxNewTokens: 10, key, batchSize: 3 };
    const generations = await generate(policy, rows, { ...options, mixture });
    expect(await generate(policy, rows.slice(1, 2), { ...options, mixture })).toEqual([generations[1]]);

    const { vocabSize, hiddenSize } = policy.config;
    for (const [row, { ids, logps }] of generations.entries()) {
      const sequence = [...rows[row].ids, ...ids];
      const mixed = new Float64Array(sequence.length * vocabSize);
      for (const { adapter, factor } of mixture) {
        const hidden = forward(policy, tokenBatch(policy, [sequence]), { adapter });
        const logits = engine.tensor([sequence.length, vocabSize]);
        engine.matmul(logits, engine.view(hidden, 0, [sequence.length, hiddenSize]), policy.weights.head, {
          transposeB: true,
        });
        (await engine.read(logits)).forEach((value, i) => {
          mixed[i] += factor * value;
        });
      }
      ids.forEach((id, step) => {
        const first = (rows[row].ids.length + step - 1) * vocabSize;
        const scores = mixed.subarray(first, first + vocabSize);
        const most = Math.max(...scores);
        const lse = most + Math.log(scores.reduce((sum, x) => sum + Math.exp(x - most), 0));
        expect(logps[step]).toBeCloseTo(scores[id] - lse, 4);
      });
    }

    policy.adapter = golden;
    const alone = await generate(policy, rows, options);
    policy.adapter = undefined;
    expect(await generate(policy, rows, { ...options, mixture: [{ adapter: golden, factor: 1 }] })).toEqual(
      alone,
    );
  });

  it('ends a row at a stop string that straddles tokens, kept up to there', async () => {
    const whole = await generate(policy, rows, sampling);
    const texts = whole.map((generation, row) => responseText(policy, rows[row].ids, generation));
    // From the middle of a word of the first response to the middle of the next.
    const space = texts[0].indexOf(' ', 12);
    const found = texts[0].slice(space - 2, space + 3);
    const cut = await generate(policy, rows, { ...sampling, stop: ['no such text', found] });
    for (const [row, generation] of cut.entries()) {
      const at = texts[row].indexOf(found);
      const { ids, stop, finished, logps } = generation;
      expect(responseText(policy, rows[row].ids, generation)).toBe(
        at < 0 ? texts[row] : texts[row].slice(0, at),
      );
      expect([stop, finished]).toEqual(at < 0 ? [undefined, false] : [found, true]);
      expect(ids).toEqual(whole[row].ids.slice(0, ids.length));
      expect(logps).toEqual(whole[row].logps.slice(0, ids.length));
      const oneLess = policy.tokenizer.decodeCompletion(rows[row].ids, ids.slice(0, -1));
      if (at >= 0) expect(oneLess).not.toContain(found);
    }
    expect(cut[0].stop).toBe(found);
  });

  it('takes a special token for a stop string', async () => {
    const whole = await generate(policy, [rows[0]], sampling);
    const id = whole[0].ids[6];
    const json = JSON.parse(readFileSync(`${storiesPath}/tokenizer.json`, 'utf8'));
    json.added_tokens.push({ id, content: '<|stop|>', special: true });
    const tokenizer = new Tokenizer(json, {});
    const options = { ...sampling, stop: ['<|stop|>'] };
    const [cut] = await generate({ ...policy, tokenizer }, [rows[0]], options);
    const ids = whole[0].ids.slice(0, whole[0].ids.indexOf(id) + 1);
    expect(cut).toMatchObject({ ids, finished: true, stop: '<|stop|>' });
    expect(responseText({ ...policy, tokenizer }, rows[0].ids, cut)).toBe(
      tokenizer.decodeCompletion(rows[0].ids, ids),
    );
  });

  it('streams the tokens and the text of what it generates', async () => {
    const stop = [' was'];
    const whole = await generate(policy, rows, { ...sampling, stop });
    for (const stepsPerRead of [1, 7]) {
      const ids: number[][] = rows.map(() => []);
      const texts = rows.map(() => '');
      const done: (typeof whole)[number][] = [];
      const stream = streamTokens(policy, rows, { ...sampling, stop, batchSize: 3 }, stepsPerRead);
      for await (const event of stream) {
        expect(done[event.row]).toBeUndefined();
        ids[event.row].push(event.id);
        texts[event.row] += event.text;
        if (event.done) done[event.row] = event.done;
      }
      expect(done).toEqual(whole);
      expect(ids).toEqual(whole.map((generation) => generation.ids));
      expect(texts).toEqual(whole.map((each, row) => responseText(policy, rows[row].ids, each)));
    }
  });

  it('queues steps ahead of what is read where the device computes on its own, and nowhere else', async () => {
    const drawn = vi.spyOn(engine, 'sample');
    const queued: number[] = [];
    const options = { ...sampling, maxNewTokens: 12 };
    for await (const _ of streamTokens(policy, [rows[0]], options)) queued.push(drawn.mock.calls.length);
    drawn.mockRestore();
    const ahead = engine.asynchronous ? 8 : 0;
    expect(queued).toEqual(Array.from({ length: 12 }, (_, i) => Math.min(i + 1 + ahead, 12)));
  });

  it('can be left in the middle of a stream, with steps under way', async () => {
    const whole = await generate(policy, rows, sampling);
    for await (const event of streamTokens(policy, rows, sampling)) if (event.id === whole[0].ids[2]) break;
    expect(await generate(policy, rows, sampling)).toEqual(whole);
  });

  it('sends a prompt through the model once for all its responses, and no token twice, log-probs included', async () => {
    const embedding = vi.spyOn(engine, 'embedding');
    const matmul = vi.spyOn(engine, 'matmul');
    const many = [0, 1].flatMap((prompt) =>
      Array.from({ length: 6 }, (_, draw) => ({ ids: rows[prompt].ids, stream: [prompt, draw] as const })),
    );
    const tilted = { ...sampling, maxNewTokens: 5, temperature: 0.7, repetitionPenalty: 1.2 };
    const made = await generate(policy, many, tilted);
    const passes = embedding.mock.calls.map(([, ids]) => ids.shape[0]);
    const logits = matmul.mock.calls.flatMap(([{ shape }]) =>
      shape[1] === policy.config.vocabSize ? [shape[0]] : [],
    );
    embedding.mockRestore();
    matmul.mockRestore();
    const longest = Math.max(rows[0].ids.length, rows[1].ids.length);
    expect(passes).toEqual([2 * longest, 12, 12, 12, 12]);
    // Of a prompt's tokens, the last alone.
    expect(logits).toEqual([12, 12, 12, 12, 12]);
    for (const { ids, logps, samplingLogps } of made) {
      expect([logps.length, samplingLogps.length]).toEqual([ids.length, ids.length]);
    }
  });

  it('repeats itself less under a penalty', async () => {
    const distinct = async (repetitionPenalty: number) => {
      const [{ ids }] = await generate(policy, [rows[0]], {
        maxNewTokens: 60,
        temperature: 0,
        repetitionPenalty,
        key,
      });
      return new Set(ids).size / ids.length;
    };
    expect(await distinct(1.5)).toBeGreaterThan((await distinct(1)) + 0.1);
  });

  it.each([
    [{ maxNewTokens: 0 }, /max_new_tokens as a whole number above 0, got 0/],
    [{ temperature: -1 }, /temperature of 0 or more, got -1/],
    [{ repetitionPenalty: 0 }, /repetition_penalty above 0, got 0/],
    [{ stop: [''] }, /stop strings with text/],
  ])('refuses %o', async (bad, message) => {
    await expect(generate(policy, rows, { ...sampling, ...bad })).rejects.toThrow(message);
  });

  it('scores a completion alike whatever stands beside it, padding or not', async () => {
    const completions = rows.map(({ ids }, row) => ({
      promptIds: ids,
      completionIds: Array.from({ length: 3 + 5 * row }, (_, i) => 260 + i + row),
    }));
    const together = await sequenceLogps(policy, completions);
    const single = await sequenceLogps(policy, completions.toReversed(), { batchTokens: 1 });
    expect(single.toReversed()).toEqual(together);
    expect([...(await sequenceLogps(policy, [{ promptIds: [1], completionIds: [] }]))]).toEqual([0]);
  });

  it('is unchanged by a fresh adapter', async () => {
    const completions = [{ promptIds: rows[0].ids, completionIds: [385, 328, 432] }];
    const before = await sequenceLogps(policy, completions);
    addAdapter(policy, { r: 4, lora_alpha: 8, target_modules: ['all-linear'] }, 1);
    expect(await sequenceLogps(policy, completions)).toEqual(before);
    policy.adapter = undefined;
  });

  it('refuses sequences that do not fit', async () => {
    const long = { ids: new Array<number>(500).fill(3), stream: [0, 0] as const };
    await expect(generate(policy, [long], sampling)).rejects.toThrow(UserError);
    await expect(generate(policy, [long], sampling)).rejects.toThrow(
      /at most 512 tokens, got a prompt of 500/,
    );
    await expect(generate(policy, [{ ...long, ids: [] }], sampling)).rejects.toThrow(/at least one token/);
  });

  it('stops at an abort signal', async () => {
    const signal = AbortSignal.abort();
    await expect(generate(policy, rows, { ...sampling, signal })).rejects.toThrow(/abort/i);
    const completions = [{ promptIds: [1], completionIds: [2] }];
    await expect(sequenceLogps(policy, completions, { signal })).rejects.toThrow(/abort/i);
  });
});
