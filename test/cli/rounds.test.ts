/** Training in rounds, and policies aligned otherwise, on the demo. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Iteration } from '../../src/align/primal_dual.ts';
import type { Redualized } from '../../src/align/redualize.ts';
import type { PairRow, ScoreRow } from '../../src/align/rows.ts';
import type { Comparison, RoundSummary } from '../../src/report/data.ts';
import { ROOT } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-rounds-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const DEMO = join(ROOT, 'models/demo');
const BETA = 0.5;
const prompts = join(folder, 'prompts.jsonl');

function argumentsFor(out: string, ...more: string[]): string[] {
  return [
    ...['--device', 'cpu', '--policy', `${DEMO}/policy`, '--prompts', prompts, '--eval-fraction', '0.25'],
    ...['--reward', `${DEMO}/reward`, '--cost', `${DEMO}/cost`, '--beta', String(BETA), '--margin', '0.05'],
    ...['--responses', '6', '--max-new-tokens', '24', '--num-train-epochs', '1', '--lora-r', '2'],
    ...[
      '--per-device-train-batch-size',
      '30',
      '--save-steps',
      '1',
      '--quiet',
      '--out',
      join(folder, out),
      ...more,
    ],
  ];
}

const read = (out: string, file: string) => readFileSync(join(folder, out, file), 'utf8');
const json = <T>(out: string, file: string) => JSON.parse(read(out, file)) as T;
const rows = <T>(out: string, file: string) =>
  read(out, file)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;

function byPrompt(all: readonly ScoreRow[]): ScoreRow[][] {
  const groups = new Map<unknown, ScoreRow[]>();
  for (const row of all) groups.set(row.prompt, [...(groups.get(row.prompt) ?? []), row]);
  return [...groups.values()];
}

/** Means under each prompt's responses weighted by exp(change·g/β). */
function tilted(all: readonly ScoreRow[], change: number): { safety: number; reward: number } {
  const groups = byPrompt(all).map((group) => {
    const odds = group.map(({ safety }) => Math.exp((change * safety[0]) / BETA));
    const total = odds.reduce((sum, x) => sum + x, 0);
    const of = (value: (row: ScoreRow) => number) =>
      group.reduce((sum, row, k) => sum + (odds[k] / total) * value(row), 0);
    return { safety: of(({ safety }) => safety[0]), reward: of(({ reward }) => reward) };
  });
  return {
    safety: mean(groups.map(({ safety }) => safety)),
    reward: mean(groups.map(({ reward }) => reward)),
  };
}

beforeAll(async () => {
  const lines = readFileSync(`${DEMO}/prompts.jsonl`, 'utf8').split('\n');
  writeFileSync(prompts, lines.slice(0, 12).join('\n'));
});

describe('dualign align --rounds', () => {
  beforeAll(async () => {
    const { code, stderr, stdout } = await dualign('node', argumentsFor('whole', '--rounds', '3'));
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('report.html');
  });

  it('finds λ again as the dual of what the last round’s policy answers', () => {
    const { lambda, thresholds } = json<{ lambda: number[]; thresholds: number[] }>('whole', 'dual.json');
    let [previous] = lambda;
    for (const round of [2, 3]) {
      const scores = rows<ScoreRow>('whole', `rounds/${round}/scores.jsonl`);
      const solved = json<Redualized>('whole', `rounds/${round}/round.json`);
      expect(solved.achieved.safety[0]).toBeCloseTo(mean(scores.map(({ safety }) => safety[0])), 10);
      expect(solved.achieved.reward).toBeCloseTo(mean(scores.map(({ reward }) => reward)), 10);
      const [next] = solved.lambda;
      const at = tilted(scores, next - previous);
      expect(solved.predicted.safety[0]).toBeCloseTo(at.safety, 8);
      expect(solved.predicted.reward).toBeCloseTo(at.reward, 8);
      // The threshold, or as much of the way as the samples reach; a slack constraint has no price.
      if (next > 0) expect(at.safety).toBeCloseTo(solved.aim[0], 6);
      else expect(at.safety).toBeGreaterThanOrEqual(solved.aim[0]);
      expect(solved.aim[0]).toBeLessThanOrEqual(thresholds[0]);
      previous = next;
    }
  });

  it('labels each round’s own responses by its λ and ends with the last adapter', () => {
    const { lambda } = json<Redualized>('whole', 'rounds/3/round.json');
    const scores = rows<ScoreRow>('whole', 'rounds/3/scores.jsonl');
    const value = (prompt: unknown, response: string) => {
      const { reward, safety } = scores.find((row) => row.prompt === prompt && row.response === response)!;
      return reward + lambda[0] * safety[0];
    };
    for (const { prompt, chosen, rejected, label } of rows<PairRow>('whole', 'rounds/3/pairs.jsonl').slice(
      0,
      40,
    )) {
      const probability = 1 / (1 + Math.exp(value(prompt, rejected) - value(prompt, chosen)));
      expect(label).toBeCloseTo(probability, 10);
    }
    const weights = (path: string) => readFileSync(join(folder, 'whole', path, 'adapter_model.safetensors'));
    expect(weights('adapter').equals(weights('rounds/3/adapter'))).toBe(true);
    expect(weights('rounds/2/adapter').equals(weights('rounds/3/adapter'))).toBe(false);
    const metrics = rows<{ step: number; round: number }>('whole', 'metrics.jsonl');
    expect(metrics.map(({ step }) => step)).toEqual(metrics.map((_, index) => index + 1));
    expect(new Set(metrics.map(({ round }) => round))).toEqual(new Set([1, 2, 3]));
  });

  it('shows round by round what was predicted and achieved', () => {
    const rounds = json<RoundSummary[]>('whole', 'rounds.json');
    expect(rounds).toHaveLength(3);
    const evaluation = json<{ aligned: { safety: unknown } }>('whole', 'evaluation.json');
    expect(rounds[2].heldOut.safety).toEqual(evaluation.aligned.safety);
    expect(rounds[0].achieved).toEqual(json<Redualized>('whole', 'rounds/2/round.json').achieved);
    const stages = Object.keys(json<{ stages: object }>('whole', 'manifest.json').stages);
    expect(stages).toEqual(
      expect.arrayContaining(['round 1: train', 'round 3: dual', 'round 2: evaluate', 'rounds']),
    );
    expect(read('whole', 'report.html')).toContain('Round by round');
  });

  it('goes on with the same bits after it was killed in the second round', async () => {
    const args = argumentsFor('killed', '--rounds', '3');
    for (const killWhen of ['rounds/2/samples.jsonl', 'rounds/2/checkpoint.safetensors']) {
      expect((await dualign('node', args, { killWhen })).code, killWhen).not.toBe(0);
    }
    const { code, stderr } = await dualign('node', args);
    expect(code, stderr).toBe(0);
    for (const file of ['rounds/3/round.json', 'adapter/adapter_model.safetensors', 'rounds.json']) {
      expect(read('killed', file), file).toBe(read('whole', file));
    }
  });

  it('is repeated by verify, and refuses another number of rounds before any work', async () => {
    const { code, stdout, stderr } = await dualign('node', ['verify', join(folder, 'whole'), '--quiet']);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('round 3: train');
    const other = await dualign('node', [
      'align',
      '--out',
      join(folder, 'whole'),
      '--rounds',
      '2',
      '--quiet',
    ]);
    expect(other.code).toBe(2);
    expect(other.stderr).toContain('its policy was trained in 3 round(s), now asked for 2');
    const onPolicy = await dualign('node', argumentsFor('grpo', '--rounds', '2', '--trainer', 'grpo'));
    expect(onPolicy.code).toBe(2);
    expect(onPolicy.stderr).toContain('--rounds 2 trains on pairs again and again, got --trainer grpo');
  });
});

describe('--baselines', () => {
  beforeAll(async () => {
    // The first stages are those of the run above.
    cpSync(join(folder, 'whole'), join(folder, 'baselines'), { recursive: true });
    const names = 'weights=0.5:2,primal-dual';
    const more = ['--baselines', names, '--primal-dual-iterations', '2', '--rounds', '3', '--redo'];
    const { code, stderr } = await dualign('node', argumentsFor('baselines', ...more));
    expect(code, stderr).toBe(0);
  });

  it('trains on r + w·g for every weight', () => {
    const scores = rows<ScoreRow>('baselines', 'scores.jsonl');
    for (const weight of [0.5, 2]) {
      const pairs = rows<PairRow>('baselines', `baselines/weight-${weight}/pairs.jsonl`);
      const value = (prompt: unknown, response: string) => {
        const { reward, safety } = scores.find((row) => row.prompt === prompt && row.response === response)!;
        return reward + weight * safety[0];
      };
      for (const { prompt, chosen, rejected, label } of pairs.slice(0, 40)) {
        const probability = 1 / (1 + Math.exp(value(prompt, rejected) - value(prompt, chosen)));
        expect(label).toBeCloseTo(probability, 10);
      }
    }
  });

  it('steps λ of primal-dual along the gradient of the dual', () => {
    const [threshold] = json<{ thresholds: number[] }>('baselines', 'dual.json').thresholds;
    const iterations = json<Iteration[]>('baselines', 'baselines/primal-dual/iterations.json');
    const reference = rows<ScoreRow>('baselines', 'scores.jsonl');
    const variance = mean(
      byPrompt(reference).map((group) => {
        const centre = mean(group.map(({ safety }) => safety[0]));
        return mean(group.map(({ safety }) => (safety[0] - centre) ** 2));
      }),
    );
    let lambda = 0;
    for (const [index, iteration] of iterations.entries()) {
      const path = index === 0 ? 'scores.jsonl' : `baselines/primal-dual/${index + 1}/scores.jsonl`;
      const safety = mean(rows<ScoreRow>('baselines', path).map((row) => row.safety[0]));
      expect(iteration.safety[0]).toBeCloseTo(safety, 10);
      expect(iteration.met).toBe(safety >= threshold);
      lambda = Math.max(0, lambda - (BETA / variance) * (safety - threshold));
      if (iteration.lambda) expect(iteration.lambda[0]).toBeCloseTo(lambda, 8);
    }
    expect(iterations.slice(0, -1).every((iteration) => iteration.lambda !== undefined)).toBe(true);
    expect(iterations.at(-1)!.lambda).toBeUndefined();
    const { alignments } = json<Comparison>('baselines', 'comparison.json');
    expect(alignments.map(({ name }) => name)).toEqual([
      ...['reference', 'aligned', 'weight=0.5', 'weight=2', 'primal-dual'],
    ]);
    expect(read('baselines', 'report.html')).toContain('Beside other ways to align');
  });

  it('names a baseline that there is not', async () => {
    const { code, stderr } = await dualign('node', argumentsFor('wrong', '--baselines', 'helpful,weights=x'));
    expect(code).toBe(2);
    expect(stderr).toContain('got weight=x');
  });
});
