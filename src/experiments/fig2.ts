import { solveDual, tradeOffCurve } from '../dual/index.ts';
import { COLOR } from '../report/charts/chart.ts';
import { lineChart, type Series } from '../report/charts/lines.ts';
import type { Panel } from '../report/charts/picture.ts';
import { score, setting, significant } from '../report/format.ts';
import type { Outcome } from './experiment.ts';
import { defaultMargins } from './margins.ts';
import { METHOD_NAMES, type Subject, scoresOf } from './subject.ts';
import { tableHtml } from './tables_html.ts';

const POINTS = 60;
/** How far beyond the largest λ* the curves go on. */
const BEYOND = 1.3;

/** Figure 2: the dual function at several margins, and where its minimum wanders. */
export async function fig2(
  subjects: readonly Subject[],
  document: Document,
  given?: readonly number[],
): Promise<Outcome> {
  const panels: Panel[] = [];
  const text: string[][] = [
    ['method', 'margin', 'λ*', '95 % interval', 'D(λ*)', 'reward', 'safety', 'KL', 'effective samples'],
  ];
  const data: unknown[] = [];
  for (const subject of subjects) {
    const name = METHOD_NAMES[subject.method];
    const scores = await scoresOf(subject);
    const { table, beta, reference } = scores;
    const solved = await Promise.all(
      (given ?? defaultMargins(scores)).map(async (margin) => {
        const threshold = reference.safety + margin;
        const solution = await solveDual({ ...table, beta, thresholds: [threshold], relative: [true] });
        return { margin, threshold, solution };
      }),
    );
    const within = solved.flatMap(({ solution, ...rest }) =>
      solution.status === 'infeasible' ? [] : [{ ...rest, solution }],
    );
    const largest = Math.max(...within.map(({ solution }) => solution.lambda[0]));
    const lambdas = Array.from({ length: POINTS + 1 }, (_, i) => (BEYOND * largest * i) / POINTS);
    const curves: Series[] = [];
    for (const { margin, threshold } of within) {
      const curve = await tradeOffCurve(table, beta, threshold, lambdas);
      curves.push({
        name: setting(margin),
        color: COLOR.reference,
        points: curve.map(({ lambda, dual }) => ({ x: lambda, y: dual })),
        line: true,
        dots: 'none',
        label: setting(margin),
      });
    }
    const minima: Series = {
      name: 'λ*',
      color: COLOR.predicted,
      points: within.map(({ solution }) => ({ x: solution.lambda[0], y: solution.dual })),
      symbol: 'diamond',
    };
    panels.push({
      title: `${name}: the dual function at ${within.length} margins`,
      sentence: 'Each curve is D(λ) at one margin; its minimum, the price of that margin, wanders up.',
      drawing: lineChart(
        document,
        `D(λ) at margins ${within.map(({ margin, solution }) => `${setting(margin)}: λ* ${significant(solution.lambda[0])}`).join(', ')}`,
        [...curves, minima],
        { x: { label: 'λ' }, y: { label: 'D(λ)' }, height: 300, right: 48 },
      ),
    });
    for (const { margin, solution } of solved) {
      text.push(
        solution.status === 'infeasible'
          ? [name, setting(margin), 'out of reach', '', '', '', '', '', '']
          : [
              name,
              setting(margin),
              significant(solution.lambda[0]),
              solution.lambdaIntervals[0].map(significant).join(' to '),
              score(solution.dual),
              score(solution.expected.reward),
              score(solution.expected.safety[0]),
              score(solution.kl),
              significant(solution.ess.median),
            ],
      );
    }
    data.push({ method: subject.method, reference, margins: solved });
  }
  const note =
    'Nothing is trained for this: every margin’s price, reward and KL come from the same samples and scores.';
  return { title: 'The dual at eight margins', note, panels, tables: [tableHtml(text)], text, data };
}
