import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import type { Metrics, ReportData } from '../../src/report/data.ts';
import { renderReport } from '../../src/report/report.ts';
import { example } from './example.ts';

function parsed(data: ReportData): Document {
  return parseHTML(renderReport(data)).document;
}

function texts(root: Document | Element, selector: string): string[] {
  return Array.from(root.querySelectorAll(selector), (element) => element.textContent!.trim());
}

describe('the page', () => {
  const data = example({ by: 'margin' });
  const page = parsed(data);

  it('has one title, and a heading for each section in order', () => {
    expect(texts(page, 'h1')).toEqual([data.title]);
    expect(page.querySelector('title')!.textContent).toBe(data.title);
    expect(texts(page, 'h2').slice(1)).toEqual([
      'Predicted and achieved',
      'The price of safety',
      'Scores before and after',
      'Training',
      'Texts before and after',
      'Settings and diagnostics',
      'How to read this report',
    ]);
    for (const section of page.querySelectorAll('section')) {
      expect(page.getElementById(section.getAttribute('aria-labelledby')!)).not.toBeNull();
    }
  });

  it('never skips a level of headings', () => {
    const levels = Array.from(page.querySelectorAll('h1, h2, h3, h4'), ({ localName }) =>
      Number(localName[1]),
    );
    for (const [index, level] of levels.entries())
      expect(level - (levels[index - 1] ?? 0)).toBeLessThanOrEqual(1);
  });

  it('names every chart, captions every figure and table, and scopes every header', () => {
    const charts = Array.from(page.querySelectorAll('svg'));
    expect(charts).toHaveLength(14);
    for (const svg of charts) {
      expect(svg.getAttribute('role')).toBe('img');
      expect(svg.getAttribute('aria-label')!.length).toBeGreaterThan(20);
      expect(svg.parentElement!.querySelector('figcaption')!.textContent!.length).toBeGreaterThan(10);
    }
    for (const table of page.querySelectorAll('table')) {
      expect(table.querySelector('caption')!.textContent!.length).toBeGreaterThan(10);
    }
    for (const header of page.querySelectorAll('th')) expect(header.hasAttribute('scope')).toBe(true);
  });

  it('puts the numbers of the run into the verdict', () => {
    expect(texts(page, '.tiles b')).toEqual(['≥\u202f+0.250', '+0.174', '+0.231']);
    expect(texts(page, '.tiles .aligned small')).toEqual(['95 %: +0.101 to +0.351', 'to −0.740']);
    expect(page.querySelector('.verdict')!.textContent).toContain('λ* = 0.900');
  });

  it('shows levels instead of changes where a threshold was asked', () => {
    const [asked, predicted, achieved] = texts(parsed(example()), '.tiles b');
    expect([asked, predicted, achieved]).toEqual(['≥\u202f−0.658', '−0.797', '−0.740']);
  });

  it('shows every sample with its scores, and the settings', () => {
    const samples = Array.from(page.querySelectorAll('article'));
    expect(samples).toHaveLength(data.samples.length);
    expect(texts(samples[0]!, '.text')).toEqual([
      data.samples[0]!.reference.response.trim(),
      data.samples[0]!.aligned.response.trim(),
    ]);
    expect(texts(page, '.pairs').join()).toContain(data.settings.at(-1)![1]);
  });

  it('draws coordinates without needless digits and holds no value that is not a number', () => {
    const markup = renderReport(data);
    expect(markup).not.toMatch(/\d\.\d{5}/);
    expect(markup).not.toMatch(/NaN|undefined|\[object|Infinity/);
    expect(markup.length).toBeLessThan(150_000);
  });
});

describe('several constraints', () => {
  const data = example({ m: 3 });
  const page = parsed(data);

  it('gives each its verdict, its chart, its distribution and its row', () => {
    expect(texts(page, '.verdict .pill')).toHaveLength(3);
    expect(page.querySelectorAll('.tiles')).toHaveLength(3);
    // Three safeties, reward and KL; three distributions and the reward's; six training charts; no curve.
    expect(page.querySelectorAll('svg')).toHaveLength(5 + 4 + 6);
    const multipliers = page.querySelector('[aria-labelledby=dual] tbody')!;
    expect(Array.from(multipliers.querySelectorAll('th'), (cell) => cell.textContent)).toEqual(
      data.constraints.map(({ name }) => name),
    );
  });
});

describe('sparse and extreme data', () => {
  const base = example();

  it('says so when nothing was logged', () => {
    const page = parsed({ ...base, training: [] });
    expect(page.querySelector('[aria-labelledby=training] .note')!.textContent).toContain(
      'No training metrics',
    );
    expect(page.querySelectorAll('[aria-labelledby=training] svg')).toHaveLength(0);
  });

  it('leaves out charts of metrics that were not logged', () => {
    const training: Metrics[] = [
      { step: 1, loss: 0.69 },
      { step: 2, loss: 0.68, grad_norm: 1 },
    ];
    expect(texts(parsed({ ...base, training }), '[aria-labelledby=training] strong')).toEqual(['Loss']);
  });

  it('does without a curve and without samples', () => {
    const page = parsed({ ...base, samples: [], dual: { ...base.dual, curve: [], lambdaIntervals: [] } });
    expect(page.querySelector('[aria-labelledby=samples]')).toBeNull();
    expect(page.querySelectorAll('[aria-labelledby=dual] svg')).toHaveLength(0);
    expect(page.querySelector('[aria-labelledby=dual] table')).not.toBeNull();
  });

  it('survives constant, huge and missing numbers', () => {
    const missing = {
      mean: null,
      interval: [null, null],
    } as unknown as ReportData['evaluation']['aligned']['kl'];
    const huge = { mean: 1e300, interval: [-1e300, Number.POSITIVE_INFINITY] as const };
    for (const flat of [0, -7.25, 1e-12, 1e9]) {
      const scores = {
        reward: Array.from({ length: 8 }, () => flat),
        safety: [[Number.NaN, Number.POSITIVE_INFINITY, flat]],
      };
      const markup = renderReport({
        ...base,
        dual: {
          ...base.dual,
          lambda: [1e12],
          lambdaIntervals: [[0, Number.POSITIVE_INFINITY]],
          expected: { reward: 1e300, safety: [-1e300] },
        },
        evaluation: {
          ...base.evaluation,
          aligned: { reward: huge, safety: [{ mean: flat, interval: [flat, flat] }], kl: missing },
        },
        scores: { reference: scores, aligned: { reward: [], safety: [[]] } },
        training: Array.from({ length: 50 }, () => ({ loss: flat, grad_norm: Number.NaN, learning_rate: 0 })),
      });
      expect(markup).toContain('1.00e+300');
      expect(markup).toContain('unknown');
      expect(markup.match(/<svg[\s\S]*?<\/svg>/g)!.join()).not.toMatch(/NaN|Infinity|undefined/);
    }
  });

  it('cuts texts of novel length', () => {
    const [sample] = base.samples;
    const endless = { ...sample!, aligned: { ...sample!.aligned, response: 'long '.repeat(20_000) } };
    const markup = renderReport({ ...base, samples: [endless] });
    expect(markup.length).toBeLessThan(150_000);
    expect(markup).toContain('more characters');
  });

  it('stays small for 5000 steps and 200 000 scores', () => {
    const many = Array.from({ length: 200_000 }, (_, index) => (index % 977) / 100);
    const scores = { reward: many, safety: [many] };
    const markup = renderReport({
      ...example({ steps: 5000 }),
      scores: { reference: scores, aligned: scores },
    });
    expect(markup.length).toBeLessThan(300_000);
  });
});
