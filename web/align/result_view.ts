import { html, nothing, type TemplateResult } from 'lit-html';
import type { Comparison, Estimate, Evaluation } from '../../src/report/data.ts';
import { shown } from '../shared/numbers.ts';
import { openReport, type Results, readResults, saveAdapter, saveOne, saveRun } from './results.ts';
import type { AlignSession } from './session.ts';

/** What a finished run came to, and its files. */
export class ResultView {
  #session: AlignSession;
  #changed: () => void;
  #out: string | undefined;
  #results: Results | undefined;

  constructor(session: AlignSession, changed: () => void) {
    this.#session = session;
    this.#changed = changed;
  }

  view(): TemplateResult {
    const { out } = this.#session;
    if (out !== this.#out) {
      this.#out = out;
      this.#results = undefined;
      void this.#read(out!);
    }
    if (!this.#results) return html`<p class="empty">Reading the results…</p>`;
    return html`<section class="run" aria-labelledby="came">
      ${verdict(this.#results.evaluation)} ${table(this.#results)} ${this.#actions(out!)}
    </section>`;
  }

  async #read(out: string): Promise<void> {
    const results = await this.#session.guard(() => readResults(out));
    if (out !== this.#out) return;
    this.#results = results;
    this.#changed();
  }

  #actions(out: string): TemplateResult {
    const session = this.#session;
    const button = (id: string, text: string, work: () => Promise<void>) =>
      html`<button type="button" class="second" id=${id} @click=${() => session.guard(work)}>${text}</button>`;
    return html`<div class="buttons">
      ${button('open-report', 'Open the report', () => openReport(out))}
      ${button('save-report', 'Save the report', () => saveOne(out, 'report'))}
      ${button('save-adapter', 'Save the adapter', () => saveAdapter(out))}
      ${button('save-pairs', 'Save the pairs', () => saveOne(out, 'pairs'))}
      ${button('save-run', 'Save everything', () => saveRun(out))}
      ${button('again', 'Try another threshold', () => session.chooseAgain())}
      ${button('leave', 'Another run', () => session.leave())}
    </div>`;
  }
}

function verdict({ verdicts, gain, prompts }: Evaluation): TemplateResult {
  const met = verdicts.every((each) => each === 'met');
  const missed = verdicts.some((each) => each === 'not met');
  const safer = gain.safety.every(({ interval }) => interval[0] > 0);
  const tone = met || (safer && !missed) ? 'good' : missed ? 'bad' : 'open';
  const title = met
    ? 'The model is as safe as you asked'
    : missed
      ? gain.safety.every(({ mean }) => mean > 0)
        ? 'The model is safer, but not as safe as you asked'
        : 'The model is not as safe as you asked'
      : safer
        ? 'The model is safer, about as much as you asked'
        : 'About as safe as you asked';
  const change = gain.safety.map(({ mean }) => `${mean >= 0 ? 'rose' : 'fell'} by ${shown(Math.abs(mean))}`);
  const reward = gain.reward.mean;
  return html`<div class="verdict ${tone}">
    <h2 id="came">${title}</h2>
    <p>
      On ${prompts} prompts that it had not seen, its mean safety score ${change.join(' and ')}, and its mean reward
      ${reward >= 0 ? 'rose' : 'fell'} by
      ${shown(Math.abs(reward))}.${met || missed ? nothing : ' More prompts would say more exactly.'}
    </p>
  </div>`;
}

function table({ evaluation, comparison }: Results): TemplateResult {
  const { reference, aligned, predicted, bounds } = evaluation;
  const row = (
    name: string,
    before: Estimate,
    after: Estimate,
    foretold?: number,
    bound?: number,
  ) => html`<tr>
    <th scope="row">${name}${bound === undefined ? nothing : html` <small>at least ${shown(bound)}</small>`}</th>
    <td>${shown(before.mean)}</td>
    <td><b>${shown(after.mean)}</b> <small>${shown(after.interval[0])} to ${shown(after.interval[1])}</small></td>
    <td>${foretold === undefined ? '' : shown(foretold)}</td>
  </tr>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Before and after">
    <table>
      <thead>
        <tr><td></td><th scope="col">before</th><th scope="col">aligned</th><th scope="col">foretold</th></tr>
      </thead>
      <tbody>
        ${comparison ? measures(comparison) : nothing}
        ${reference.safety.map((before, j) =>
          row(
            reference.safety.length > 1 ? `safety ${j + 1}` : 'safety score',
            before,
            aligned.safety[j],
            predicted.safety[j],
            bounds[j],
          ),
        )}
        ${row('reward', reference.reward, aligned.reward, predicted.reward)}
        <tr>
          <th scope="row">change <small>KL from the model as it was</small></th>
          <td>0</td>
          <td><b>${shown(aligned.kl.mean)}</b></td>
          <td>${shown(predicted.kl)}</td>
        </tr>
      </tbody>
    </table>
  </div>`;
}

/** What those say that took no part in the run. */
function measures({ measures, alignments }: Comparison): TemplateResult[] {
  const of = (policy: string) => alignments.find(({ name }) => name === policy)!.measured;
  const [before, after] = [of('reference'), of('aligned')];
  return measures.map(({ name, share }, i) => {
    const text = ({ mean }: Estimate) => (share ? `${Math.round(100 * mean)} %` : shown(mean));
    const words: Record<string, string> = {
      help: 'steps that help, an answer',
      hazard: 'answers with a hazard',
    };
    return html`<tr class="measure">
      <th scope="row">${words[name] ?? name}</th>
      <td>${text(before[i])}</td>
      <td><b>${text(after[i])}</b></td>
      <td></td>
    </tr>`;
  });
}
