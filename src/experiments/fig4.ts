import { type PlanRow, planDual } from '../dual/plan.ts';
import type { Panel } from '../report/charts/picture.ts';
import { type SizeRow, sizeChart } from '../report/charts/sizes.ts';
import { setting, significant } from '../report/format.ts';
import type { Outcome } from './experiment.ts';
import { defaultMargins } from './margins.ts';
import { METHOD_NAMES, type Subject, scoresOf } from './subject.ts';
import { tableHtml } from './tables_html.ts';

/** Figure 4: λ* from fewer prompts and from fewer responses. */
export async function fig4(subjects: readonly Subject[], document: Document): Promise<Outcome> {
  const panels: Panel[] = [];
  const text: string[][] = [['method', 'margin', 'fewer', 'number', 'mean λ*', 'deviation', 'out of reach']];
  const data: unknown[] = [];
  for (const subject of subjects) {
    const name = METHOD_NAMES[subject.method];
    const scores = await scoresOf(subject);
    const { table, beta, reference } = scores;
    const own = subject.base.config.limits[0];
    const margin =
      own === undefined
        ? defaultMargins(scores)[3]
        : own.kind === 'margin'
          ? own.value
          : own.value - reference.safety;
    const problem = { ...table, beta, thresholds: [reference.safety + margin], relative: [true] };
    const plan = await planDual(problem);
    const responses = (table.responses as Uint32Array)[0];
    for (const axis of ['prompts', 'responses'] as const) {
      const all: SizeRow = {
        size: axis === 'prompts' ? table.prompts : responses,
        mean: plan.lambda[0],
        deviation: axis === 'prompts' ? plan.halfWidth[0] / 1.96 : 0,
      };
      const rows = plan[axis].flatMap((row: PlanRow): SizeRow[] =>
        row.mean && row.deviation ? [{ size: row.size, mean: row.mean[0], deviation: row.deviation[0] }] : [],
      );
      panels.push({
        title: `${name}: λ* against the number of ${axis}`,
        sentence:
          axis === 'prompts'
            ? 'Random subsets scatter around that of all, dashed; bars are standard deviations.'
            : 'Fewer responses shift it: the best policy has less to choose from.',
        drawing: sizeChart(document, axis, [...rows, all], plan.lambda[0]),
      });
      for (const { size, mean, deviation, infeasible } of plan[axis]) {
        text.push([
          name,
          setting(margin),
          axis,
          String(size),
          mean ? significant(mean[0]) : '–',
          deviation ? significant(deviation[0]) : '–',
          String(infeasible),
        ]);
      }
      text.push([
        name,
        setting(margin),
        axis,
        `${all.size} (all)`,
        significant(all.mean),
        significant(all.deviation),
        '0',
      ]);
    }
    data.push({ method: subject.method, margin, ...plan });
  }
  const note =
    'λ* on 16 random subsets of each size. With fewer prompts it scatters like 1/√N around the same value; with fewer responses it is also biased.';
  return {
    title: 'λ* against the number of prompts and responses',
    note,
    panels,
    tables: [tableHtml(text)],
    text,
    data,
  };
}
