/** The demo's models as they lie in models/demo, against the grammar's own truth, and the demo run small. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { allText, answer, judge, QUESTIONS, sentences } from '../../models/demo/grammar.ts';
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import { DiskFolder } from '../../src/host/disk.ts';
import { loadScorer } from '../../src/host/scorers.ts';
import { generate, responseText } from '../../src/model/generate.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { keyOf, Random } from '../../src/random.ts';
import type { Comparison } from '../../src/report/data.ts';
import { run } from '../support/processes.ts';
import { ROOT } from '../support/shared.ts';

const DEMO = join(ROOT, 'models/demo');
const scratch = mkdtempSync(join(tmpdir(), 'dualign-demo-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;

function correlation(a: readonly number[], b: readonly number[]): number {
  const [ma, mb] = [mean(a), mean(b)];
  const product = (x: readonly number[], mx: number, y: readonly number[], my: number) =>
    mean(x.map((value, i) => (value - mx) * (y[i] - my)));
  return product(a, ma, b, mb) / Math.sqrt(product(a, ma, a, ma) * product(b, mb, b, mb));
}

describe('the demo’s folder', () => {
  it('is of at most 8 MB', () => {
    const bytes = filesOf(DEMO).reduce((sum, path) => sum + statSync(path).size, 0);
    expect(bytes).toBeLessThan(8e6);
  });

  it('has a policy that speaks the grammar, with help and harm mixed', async () => {
    const engine = await createCpuEngine();
    const policy = await loadPolicy(engine, new DiskFolder(join(DEMO, 'policy')));
    const rows = QUESTIONS.map(({ prompt }, i) => ({
      ids: policy.tokenizer.encode(prompt),
      stream: [i, 0] as const,
    }));
    const generated = await generate(policy, rows, {
      maxNewTokens: 64,
      temperature: 1,
      topK: 0,
      topP: 1,
      repetitionPenalty: 1,
      stop: [],
      key: keyOf(1, 'demo test'),
      batchSize: 112,
    });
    const texts = generated.map((each, i) => responseText(policy, rows[i].ids, each));
    engine.destroy();
    const known = new Set(allText());
    const whole = texts.filter(
      (text) => sentences(text).join(' ') === text.trim() && sentences(text).every((each) => known.has(each)),
    );
    expect(whole.length / texts.length).toBeGreaterThan(0.9);
    const verdicts = texts.map((text, i) => judge(QUESTIONS[i].prompt, text));
    const rate = mean(verdicts.map(({ hazard }) => (hazard > 0 ? 1 : 0)));
    expect(rate).toBeGreaterThan(0.3);
    expect(rate).toBeLessThan(0.55);
  });

  it('has scorers that have learned the truth from preferences', async () => {
    const rows = QUESTIONS.flatMap(({ prompt, task }, i) =>
      [0, 1].map((k) => ({ prompt, response: answer(task, new Random(keyOf(3, 'scorers'), 2 * i + k)) })),
    );
    const truth = rows.map(({ prompt, response }) => judge(prompt, response));
    for (const [name, values] of [
      ['reward', truth.map(({ help }) => help)],
      ['cost', truth.map(({ hazard }) => (hazard > 0 ? 1 : 0))],
    ] as const) {
      const scores = await (await loadScorer(join(DEMO, name))).score(rows);
      expect(correlation([...scores], values), name).toBeGreaterThan(0.97);
    }
  });

  it('is made by its script, which gives the same in Node and Deno', async () => {
    const make = join(DEMO, 'make.ts');
    const node = join(scratch, 'node');
    const deno = join(scratch, 'deno');
    const few = ['--steps', '0.002'];
    const outcomes = [
      await run(process.execPath, [make, ...few, '--out', node]),
      await run(join(ROOT, 'node_modules/.bin/deno'), ['run', '-A', make, ...few, '--out', deno]),
    ];
    for (const { code, stderr } of outcomes) expect(code, stderr).toBe(0);
    const made = filesOf(node).map((path) => path.slice(node.length + 1));
    for (const path of made) {
      const bytes = readFileSync(join(node, path));
      expect(bytes.equals(readFileSync(join(deno, path))), path).toBe(true);
      // What does not depend on training is what lies there.
      const trained = /safetensors$|onnx$/.test(path);
      expect(bytes.equals(readFileSync(join(DEMO, path))), path).toBe(!trained);
    }
    const there = filesOf(DEMO).map((path) => path.slice(DEMO.length + 1));
    const source = /\.ts$|^settings\.json$/;
    expect(made.sort()).toEqual(there.filter((path) => !source.test(path)).sort());
  });
});

describe('npm start', () => {
  it.each(['mocan', 'pecan'])('aligns the demo end to end, smaller here: %s', async (method) => {
    const out = join(scratch, method);
    const { code, stdout, stderr } = await run(process.execPath, [
      join(ROOT, 'scripts/start.mjs'),
      ...['--method', method, '--responses', '4', '--num-train-epochs', '1', '--eval-fraction', '0.1'],
      ...['--device', 'cpu', '--quiet', '--out', out],
    ]);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/help \(more is better\) +\d\.\d+ +\d\.\d+ +\d\.\d+ +\d\.\d+\n/);
    expect(stdout).toMatch(/hazard \(less is better\) +\d+ % +\d+ % +\d+ % +\d+ %\n/);
    expect(stdout).toContain(`report: ${out}/report.html`);
    const { alignments, measures } = JSON.parse(
      readFileSync(join(out, 'comparison.json'), 'utf8'),
    ) as Comparison;
    expect(measures).toEqual([
      { name: 'help', cost: false, share: false },
      { name: 'hazard', cost: true, share: true },
    ]);
    expect(alignments.map(({ name }) => name)).toEqual(['reference', 'aligned', 'helpful', 'safe']);
    const [, , helpful, safe] = alignments.map(({ measured }) => measured.map((each) => each.mean));
    expect(helpful[0]).toBeGreaterThan(safe[0]);
    expect(helpful[1]).toBeGreaterThan(safe[1]);
    const report = readFileSync(join(out, 'report.html'), 'utf8');
    expect(report).toContain('Beside aligning to one goal alone');
  });
});
