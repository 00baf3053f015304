/** The paper's experiments on a small run of the demo. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EvaluationRow, ScoreRow } from '../../src/align/rows.ts';
import type { SubjectResult } from '../../src/experiments/margins.ts';
import { ROOT } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-experiment-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const DEMO = join(ROOT, 'models/demo');
const MARGINS = [0.02, 0.05];
const base = join(folder, 'base');
const out = join(folder, 'out');

const read = (path: string) => readFileSync(path, 'utf8');
const rows = <T>(path: string) =>
  read(path)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
const all = [
  'experiment',
  'all',
  '--run',
  base,
  '--margins',
  MARGINS.join(),
  '--baselines',
  'helpful',
  '--quiet',
];

/** Means under each prompt's responses weighted by exp(r + λg), β being 1. */
function tilted(path: string, lambda: number): { reward: number; safety: number } {
  const groups = new Map<unknown, ScoreRow[]>();
  for (const row of rows<ScoreRow>(path)) groups.set(row.prompt, [...(groups.get(row.prompt) ?? []), row]);
  const means = [...groups.values()].map((group) => {
    const odds = group.map(({ reward, safety }) => Math.exp(reward + lambda * safety[0]));
    const total = odds.reduce((sum, x) => sum + x, 0);
    const of = (value: (row: ScoreRow) => number) =>
      group.reduce((sum, row, k) => sum + (odds[k] / total) * value(row), 0);
    return { reward: of(({ reward }) => reward), safety: of(({ safety }) => safety[0]) };
  });
  return { reward: mean(means.map(({ reward }) => reward)), safety: mean(means.map(({ safety }) => safety)) };
}

let before: string;
let printed: string;

beforeAll(async () => {
  const prompts = join(folder, 'prompts.jsonl');
  writeFileSync(prompts, read(`${DEMO}/prompts.jsonl`).split('\n').slice(0, 12).join('\n'));
  const aligned = await dualign('node', [
    ...['--device', 'cpu', '--policy', `${DEMO}/policy`, '--prompts', prompts],
    ...['--reward', `${DEMO}/reward`, '--cost', `${DEMO}/cost`, '--beta', '1', '--margin', '0.05'],
    ...['--measure', `${DEMO}/truth.ts#help`, '--measure-cost', `${DEMO}/truth.ts#hazard`],
    ...['--responses', '6', '--max-new-tokens', '24', '--num-train-epochs', '1', '--lora-r', '2'],
    ...['--per-device-train-batch-size', '30', '--quiet', '--out', base],
  ]);
  expect(aligned.code, aligned.stderr).toBe(0);
  before = read(`${base}/manifest.json`);
  const { code, stdout, stderr } = await dualign('node', [...all, '--out', out]);
  expect(code, stderr).toBe(0);
  printed = stdout;
});

describe('dualign experiment', () => {
  it('leaves a page, a picture and the numbers of each', () => {
    const files = readdirSync(out).sort();
    const made = ['fig1', 'fig2', 'fig3', 'fig4'].flatMap((name) => [
      `${name}.html`,
      `${name}.json`,
      `${name}.svg`,
    ]);
    expect(files).toEqual([...made, 'runs', 'tables.html', 'tables.json']);
    for (const name of ['fig1', 'fig2', 'fig3', 'fig4']) {
      const picture = read(join(out, `${name}.svg`));
      expect(picture).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="\d+" height="[\d.]+"/);
      expect(picture).not.toMatch(/NaN|undefined|Infinity/);
      expect(picture.match(/<svg /g)!.length).toBe(picture.match(/<\/svg>/g)!.length);
    }
  });

  it('solves the dual at each margin', () => {
    const [{ reference, margins }] = JSON.parse(read(join(out, 'fig2.json'))) as [
      {
        reference: { safety: number };
        margins: { margin: number; solution: { lambda: number[]; expected: { reward: number } } }[];
      },
    ];
    expect(margins.map(({ margin }) => margin)).toEqual(MARGINS);
    for (const { margin, solution } of margins) {
      const at = tilted(`${base}/scores.jsonl`, solution.lambda[0]);
      if (solution.lambda[0] > 0) expect(at.safety).toBeCloseTo(reference.safety + margin, 6);
      else expect(at.safety).toBeGreaterThanOrEqual(reference.safety + margin);
      expect(solution.expected.reward).toBeCloseTo(at.reward, 8);
    }
  });

  it('trains at each margin on the same samples and tells what was predicted and achieved', () => {
    const [result] = JSON.parse(read(join(out, 'fig3.json'))) as SubjectResult[];
    expect(result.margins.map(({ margin }) => margin)).toEqual(MARGINS);
    const adapters = result.margins.map(({ margin, lambda, predicted, achieved, verdict, judgement }) => {
      const run = `${out}/runs/mocan/margin-${margin}`;
      for (const file of ['samples.jsonl', 'scores.jsonl', 'evaluation/reference.jsonl']) {
        expect(read(`${run}/${file}`), file).toBe(read(`${base}/${file}`));
      }
      const safety = (file: string) =>
        mean(rows<EvaluationRow>(`${run}/evaluation/${file}`).map((row) => row.safety[0]));
      expect(achieved!.safety.mean).toBeCloseTo(safety('aligned.jsonl') - safety('reference.jsonl'), 8);
      const foreseen = tilted(`${run}/evaluation/reference.jsonl`, lambda!);
      expect(predicted!.safety).toBeCloseTo(foreseen.safety - safety('reference.jsonl'), 8);
      const [low, high] = achieved!.safety.interval;
      expect(verdict).toBe(low >= margin ? 'met' : high < margin ? 'not met' : 'uncertain');
      expect(judgement!.rates.map(({ question }) => question)).toEqual(['helpfulness', 'safety']);
      return readFileSync(`${run}/adapter/adapter_model.safetensors`);
    });
    expect(adapters[0].equals(adapters[1])).toBe(false);
    expect(result.baselines.map(({ name }) => name)).toEqual(['helpful']);
    // The table's numbers are those of the figure.
    const [{ held }] = JSON.parse(read(join(out, 'tables.json'))) as [{ held: Record<string, number> }];
    expect(held.margins).toBe(2);
    expect(held.met + held.uncertain + held.missed).toBe(2);
    expect(printed).toMatch(/MoCAN +0\.02 .*(met|uncertain|not met)/);
  });

  it('leaves the run as it was, and goes on where it stopped', async () => {
    expect(read(`${base}/manifest.json`)).toBe(before);
    rmSync(`${out}/runs/mocan/margin-0.05/evaluation.json`);
    const figure = read(`${out}/fig3.svg`);
    rmSync(`${out}/fig3.svg`);
    const { code, stderr } = await dualign('node', [...all, '--out', out]);
    expect(code, stderr).toBe(0);
    expect(read(`${out}/fig3.svg`)).toBe(figure);
  });

  it('says what it takes', async () => {
    const error = async (...args: string[]) => {
      const { code, stderr } = await dualign('node', ['experiment', ...args, '--out', join(folder, 'none')]);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await error('fig9', '--run', base)).toContain(
      'expected experiments of fig1, fig2, fig3, fig4, tables, all; got fig9',
    );
    expect(await error('fig2', '--run', join(folder, 'nowhere'))).toContain('expected a run folder');
    expect(await error('fig2', '--method', 'ppo')).toContain('expected mocan or pecan, got ppo');
    expect(readdirSync(folder)).not.toContain('none');
  });
});
