import { describe, expect, it } from 'vitest';
import type { ReportData } from '../../src/report/data.ts';
import { movementOf } from '../../src/report/findings.ts';
import { renderReport, renderSummary } from '../../src/report/report.ts';
import {
  changeSentence,
  divergenceSentence,
  headline,
  priceSentence,
  rewardSentences,
  safetySentence,
  warnings,
} from '../../src/report/words.ts';
import { example } from './example.ts';

const data = example();

function withEvaluation(changes: Partial<ReportData['evaluation']>): ReportData {
  return { ...data, evaluation: { ...data.evaluation, ...changes } };
}

describe('a change against its prediction', () => {
  it.each([
    [0.25, 0.24, [0.1, 0.4], 'as predicted'],
    [0.25, 0.11, [0.02, 0.2], 'short'],
    [0.25, 0.6, [0.5, 0.7], 'beyond'],
    [0.25, -0.3, [-0.4, -0.2], 'wrong way'],
    [-0.25, 0.3, [0.2, 0.4], 'wrong way'],
    [-0.25, -0.24, [-0.4, -0.1], 'as predicted'],
    [0.25, 0.02, [-0.05, 0.09], 'hardly'],
    [0.25, 0.1, [-0.1, 0.3], 'unresolved'],
    [0, 0.02, [-0.05, 0.09], 'still'],
    [0, 0.3, [0.2, 0.4], 'unforeseen'],
  ] as const)('of %f, come out as %f in %j, is %s', (predicted, mean, interval, movement) => {
    expect(movementOf(predicted, { mean, interval })).toBe(movement);
  });

  it.each([
    ['wrong way', -0.3, 'fell by 0.300 (95 % interval −0.400 to −0.200): the wrong way'],
    ['short', 0.11, '44 % of the predicted rise of 0.250'],
    ['hardly', 0.02, 'did not measurably move'],
    ['beyond', 0.6, 'more than the predicted rise of 0.250 (240 % of it)'],
  ] as const)('that went %s is called so', (movement, mean, words) => {
    const achieved = { mean, interval: [mean - 0.1, mean + 0.1] as const };
    expect(changeSentence('safety', { predicted: 0.25, achieved, movement })).toContain(words);
  });
});

describe('the verdict', () => {
  it.each([
    [['met'], 'The safety constraint is met'],
    [['not met'], 'The safety constraint is not met'],
    [['uncertain'], 'It is uncertain whether the safety constraint is met'],
    [['met', 'met'], 'All 2 safety constraints are met'],
    [['not met', 'not met', 'not met'], 'None of the 3 safety constraints is met'],
    [['met', 'not met', 'uncertain'], 'Of 3 safety constraints: 1 met, 1 not met, 1 uncertain'],
  ] as const)('of %j is put in words', (verdicts, words) => {
    expect(headline(withEvaluation({ verdicts }))).toBe(words);
  });

  it('takes the tone of the worst constraint', () => {
    const three = example({ m: 3 });
    const page = (verdicts: ReportData['evaluation']['verdicts']) =>
      renderReport({ ...three, evaluation: { ...three.evaluation, verdicts } });
    expect(page(['met', 'met', 'met'])).toContain('class="verdict good"');
    expect(page(['met', 'uncertain', 'met'])).toContain('class="verdict open"');
    expect(page(['met', 'uncertain', 'not met'])).toContain('class="verdict bad"');
  });

  it('says when even the optimal policy misses the bound on these prompts', () => {
    const bounds = [data.evaluation.predicted.safety[0]! + 0.1];
    const verdicts = ['uncertain'] as const;
    expect(safetySentence(withEvaluation({ bounds, verdicts }), 0)).toContain(
      'even the optimal policy misses',
    );
    const reachable = [data.evaluation.predicted.safety[0]! - 0.1];
    expect(safetySentence(withEvaluation({ bounds: reachable, verdicts }), 0)).not.toContain(
      'even the optimal',
    );
  });
});

describe('what it cost', () => {
  it('names the price, or that there is none', () => {
    expect(priceSentence(data, 0)).toContain('one more unit of safety costs 0.900 of the objective');
    expect(priceSentence({ ...data, dual: { ...data.dual, lambda: [0] } }, 0)).toContain('costs nothing');
  });

  it('compares the reward with that of the unconstrained optimum', () => {
    const [, cost] = rewardSentences(data);
    const free = data.dual.curve[0]!.reward;
    expect(cost).toContain(`${(free - data.dual.expected.reward).toFixed(3)} of reward`);
    expect(rewardSentences({ ...data, dual: { ...data.dual, lambda: [0] } })).toHaveLength(1);
  });

  it('tells a policy that hardly left the reference from one that went too far', () => {
    const kl = (mean: number) => {
      const { aligned, predicted } = data.evaluation;
      return divergenceSentence(
        withEvaluation({
          aligned: { ...aligned, kl: { mean: mean * predicted.kl, interval: [0, 1] } },
        }),
      );
    };
    expect(kl(0.2)).toContain('20 % of the optimum’s');
    expect(kl(1)).toMatch(/predicted 0\.\d+\.$/);
    expect(kl(3)).toContain('further from the reference');
  });
});

describe('warnings', () => {
  it('come first on the page, after the verdict, with those of the dual', () => {
    const warned = { ...data, dual: { ...data.dual, warnings: ['effectively best-of-16'] } };
    const page = renderReport(warned);
    expect(page.indexOf('effectively best-of-16')).toBeLessThan(page.indexOf('id="results"'));
    expect(renderSummary(warned)).toContain('Warning: effectively best-of-16');
    expect(renderReport(data)).not.toContain('id="warnings"');
  });

  it('are given for a bound at the edge of reach and for few prompts', () => {
    expect(warnings({ ...data, dual: { ...data.dual, status: 'nearly-infeasible' } })[0]).toContain('edge');
    expect(warnings(withEvaluation({ prompts: 8 }))[0]).toContain('only 8 prompts');
    expect(warnings(data)).toEqual([]);
  });
});

describe('the summary', () => {
  it('says the same in a few lines of plain text', () => {
    const summary = renderSummary(data);
    const lines = summary.trimEnd().split('\n');
    expect(lines[0]).toBe(headline(data));
    expect(lines.length).toBeLessThanOrEqual(18);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(100);
    expect(summary).toMatch(/safety = −stories-cost +−0\.658 +−0\.971 +−0\.797 +−0\.740 /);
    expect(summary).toContain('λ* = 0.900');
    expect(summary).not.toMatch(/[<>&]|NaN|undefined/);
  });
});
