import type { WritableFolder } from '../data/folder.ts';
import { UserError } from '../errors.ts';
import { figure } from '../report/charts/chart.ts';
import { pictureOf } from '../report/charts/picture.ts';
import { blankDocument } from '../report/document.ts';
import { html } from '../report/html.ts';
import { pageOf } from '../report/page.ts';
import type { Outcome } from './experiment.ts';
import { fig1 } from './fig1.ts';
import { fig2 } from './fig2.ts';
import { fig3 } from './fig3.ts';
import { fig4 } from './fig4.ts';
import { alignAt, defaultMargins, type SubjectResult } from './margins.ts';
import { METHOD_NAMES, type Subject, scoresOf } from './subject.ts';
import { tables } from './tables.ts';

export const EXPERIMENTS = ['fig1', 'fig2', 'fig3', 'fig4', 'tables'] as const;
export type ExperimentName = (typeof EXPERIMENTS)[number];

export interface ExperimentOptions {
  readonly folder: WritableFolder;
  readonly margins?: readonly number[];
  /** Policies to compare with, in the first subject's run. */
  readonly baselines?: readonly string[];
}

const BASELINES = ['helpful', 'safe', 'weight=1', 'weight=2', 'weight=4', 'primal-dual'];

/** Makes experiments in turn; each leaves its page, picture and numbers in the folder. */
export async function runExperiments(
  names: readonly ExperimentName[],
  subjects: readonly Subject[],
  options: ExperimentOptions,
): Promise<[ExperimentName, Outcome][]> {
  const { folder, margins } = options;
  if (margins && subjects.length > 1) {
    throw new UserError('--margins are in units of one method: say --method mocan or pecan with them');
  }
  const document = blankDocument();
  let results: SubjectResult[] | undefined;
  const trained = async () => {
    results ??= await alignAll(subjects, options);
    return results;
  };
  const outcomes: [ExperimentName, Outcome][] = [];
  for (const name of names) {
    const outcome =
      name === 'fig1'
        ? await fig1(subjects, document)
        : name === 'fig2'
          ? await fig2(subjects, document, margins)
          : name === 'fig3'
            ? fig3(await trained(), document)
            : name === 'fig4'
              ? await fig4(subjects, document)
              : tables(await trained());
    await keep(folder, name, outcome, subjects);
    outcomes.push([name, outcome]);
  }
  return outcomes;
}

async function alignAll(
  subjects: readonly Subject[],
  { margins, baselines = BASELINES }: ExperimentOptions,
): Promise<SubjectResult[]> {
  const results: SubjectResult[] = [];
  for (const [index, subject] of subjects.entries()) {
    const asked = margins ?? defaultMargins(await scoresOf(subject));
    results.push(await alignAt(subject, asked, index === 0 ? baselines : []));
  }
  return results;
}

async function keep(
  folder: WritableFolder,
  name: string,
  { title, note, panels, columns, tables: parts, data }: Outcome,
  subjects: readonly Subject[],
): Promise<void> {
  const methods = subjects.map(({ method }) => METHOD_NAMES[method]).join(' and ');
  const page = pageOf({
    title: `${title}: dualign experiment ${name}`,
    kind: `dualign experiment ${name}`,
    heading: title,
    lede: `${methods}: ${note}`,
    sections: [
      html`<section><div class="charts">
${panels.map((panel) => figure(panel.title, panel.sentence, panel.drawing))}</div>
</section>
`,
      html`<section>${parts}</section>
`,
    ],
  });
  await folder.write(`${name}.html`, page);
  await folder.write(`${name}.json`, `${JSON.stringify(data, null, 2)}\n`);
  if (panels.length > 0) await folder.write(`${name}.svg`, pictureOf(title, panels, columns));
}
