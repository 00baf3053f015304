import { convergence } from '../dual/convergence.ts';
import { describePolicies, thresholdsOf } from '../dual/index.ts';
import { convergenceChart } from '../report/charts/convergence.ts';
import { histogram, histogramChart } from '../report/charts/histogram.ts';
import type { Panel } from '../report/charts/picture.ts';
import { setting, significant } from '../report/format.ts';
import { methodsOf, passesTo } from '../report/methods.ts';
import { loadWasm } from '../wasm.ts';
import type { Outcome } from './experiment.ts';
import { METHOD_NAMES, type Scores, type Subject, scoresOf } from './subject.ts';
import { tableHtml } from './tables_html.ts';

/** The paper's step of gradient descent. */
const STEP = 1;
const TOLERANCES = [1e-2, 1e-4, 1e-6, 1e-8];
const FLOOR = 1e-15;

/** Figure 1: how fast λ* is found by gradient descent and by Newton, and the scores before and after. */
export async function fig1(subjects: readonly Subject[], document: Document): Promise<Outcome> {
  const panels: Panel[] = [];
  const text: string[][] = [
    ['method', 'margin', 'λ*', 'by', ...TOLERANCES.map((tolerance) => `passes to ${tolerance}`)],
  ];
  const data: unknown[] = [];
  for (const subject of subjects) {
    const name = METHOD_NAMES[subject.method];
    const scores = await scoresOf(subject);
    const { table, beta } = scores;
    const limit = subject.base.config.limits[0] ?? { kind: 'margin', value: 0 };
    const asked = limit.kind === 'margin' ? { margin: limit.value } : { threshold: limit.value };
    const thresholds = await thresholdsOf(table, [asked]);
    const found = await convergence({ ...table, beta, thresholds }, { steps: [STEP] });
    const methods = methodsOf(found);
    panels.push({
      title: `${name}: D(λ) on the way to its minimum`,
      sentence: 'Projected gradient descent with the paper’s step and with 1/L, beside projected Newton.',
      drawing: convergenceChart(document, methods, {
        axis: 'log₁₀ of D(λ) − D(λ*)',
        value: (point) => point.gap,
        floor: FLOOR * Math.max(1, Math.abs(found.dual)),
      }),
    });
    const margin = thresholds[0] - scores.reference.safety;
    for (const method of methods) {
      text.push([
        name,
        setting(margin),
        significant(found.lambda[0]),
        method.name,
        ...TOLERANCES.map((tolerance) => String(passesTo(method.trace, tolerance) ?? '–')),
      ]);
    }
    panels.push(...(await densities(document, name, scores, found.lambda, thresholds[0])));
    data.push({ method: subject.method, margin, ...found });
  }
  const note =
    'Passes over the scores until the length of the projected gradient is below each tolerance; all methods start at λ = 1. ' +
    'Scores: filled as the reference draws them, outlined as the optimal policy would.';
  return {
    title: 'Finding λ*, and the scores',
    note,
    panels,
    columns: 3,
    tables: [tableHtml(text)],
    text,
    data,
  };
}

/** Reward and safety of the reference's samples, and of the same as the optimal policy draws them. */
async function densities(
  document: Document,
  name: string,
  { rows, table, beta, reference }: Scores,
  lambda: readonly number[],
  bound: number,
): Promise<Panel[]> {
  const shares = await optimalShares(table.responses as Uint32Array, rows, beta, lambda[0]);
  const equal = sharesOf(table.responses as Uint32Array, () => 1);
  const [expected] = await describePolicies(table, beta, [lambda]);
  const panel = (
    quantity: string,
    values: readonly number[],
    before: number,
    after: number,
    at?: number,
  ) => ({
    title: `${name}: ${quantity}`,
    sentence: at === undefined ? 'Further right is better.' : 'The bound, dashed, is on the mean.',
    drawing: histogramChart(
      document,
      quantity,
      histogram(values, values, { reference: equal, aligned: shares }),
      { reference: before, aligned: after },
      at,
      'predicted',
    ),
  });
  return [
    panel(
      'reward',
      rows.map(({ reward }) => reward),
      reference.reward,
      expected.reward,
    ),
    panel(
      'safety',
      rows.map(({ safety }) => safety[0]),
      reference.safety,
      expected.safety[0],
      bound,
    ),
  ];
}

function sharesOf(responses: Uint32Array, odds: (index: number) => number): number[] {
  const shares: number[] = [];
  let start = 0;
  for (const count of responses) {
    const group = Array.from({ length: count }, (_, k) => odds(start + k));
    const total = group.reduce((sum, value) => sum + value, 0);
    shares.push(...group.map((value) => value / total));
    start += count;
  }
  return shares;
}

async function optimalShares(
  responses: Uint32Array,
  rows: Scores['rows'],
  beta: number,
  lambda: number,
): Promise<number[]> {
  const { exp } = await loadWasm();
  const values = rows.map(({ reward, safety }) => (reward + lambda * safety[0]) / beta);
  const most = values.reduce((a, b) => Math.max(a, b));
  return sharesOf(responses, (index) => exp(values[index] - most));
}
