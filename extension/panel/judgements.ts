import { html, type TemplateResult } from 'lit-html';
import { messageOf } from '../../src/errors.ts';
import { CHECKED_FROM, type Counts, GOALS, type Goal, type State } from '../shared/state.ts';
import type { App } from './app.ts';
import { confirmButton } from './confirm.ts';
import { save } from './save.ts';
import { count } from './words.ts';

export function judgementsView(app: App, { counts, model }: State): TemplateResult {
  const any = counts.helpful + counts.safe > 0;
  return html`
    <section>
      <h2>Your judgements</h2>
      <dl class="counts">
        ${amount('By what helps', counts.helpful)}${amount('By safety', counts.safe)}
        <div><dt>Different questions</dt><dd>${counts.prompts}</dd></div>
      </dl>
      <p>${verdict(counts)}</p>
    </section>
    <section>
      <h2>Import</h2>
      <p>
        A file of JSON Lines: <code>{"prompt", "chosen", "rejected"}</code> as TRL has them, or PKU-SafeRLHF's rows, which
        hold both judgements.
      </p>
      <form @submit=${(event: SubmitEvent) => importFile(app, event)}>
        <fieldset class="segments">
          <legend>In each row, the chosen answer is</legend>
          ${[
            ['helpful', 'More helpful'],
            ['safe', 'Safer'],
            ['helpful safe', 'Both'],
          ].map(
            ([value, text], index) => html`<label class="segment">
              <input type="radio" name="goals" value=${value} ?checked=${index === 0} /><span>${text}</span>
            </label>`,
          )}
        </fieldset>
        <label class="field">File <input type="file" name="file" accept=".jsonl,.json,.txt" required /></label>
        <div class="row"><button class="main">Import</button></div>
      </form>
      ${
        model.form === undefined
          ? ''
          : html`<p class="row">
            <button type="button" @click=${() => tell(app, app.ask('importExamples'))}>Add the examples that come along</button>
          </p>`
      }
    </section>
    <section>
      <h2>Export and remove</h2>
      <div class="row">
        <button type="button" ?disabled=${!any} @click=${async () => save(await app.ask('exportJudgements'))}>Export as TRL rows</button>
        ${confirmButton(app, 'remove judgements', 'Remove all', !any, () => app.ask('removeJudgements'))}
      </div>
    </section>
  `;
}

function amount(name: string, n: number): TemplateResult {
  return html`<div><dt>${name}</dt><dd>${n}</dd></div>`;
}

/** What can be said before anything is learned. */
function verdict(counts: Counts): string {
  const fewest = Math.min(...GOALS.map((goal) => counts[goal]));
  if (fewest < CHECKED_FROM) {
    const missing = GOALS.map((goal) => {
      const left = Math.max(0, CHECKED_FROM - counts[goal]);
      return left === 0
        ? undefined
        : `${count(left, 'more', 'more')} by ${goal === 'helpful' ? 'what helps' : 'safety'}`;
    }).filter((text) => text !== undefined);
    return `Not enough to tell yet: judge ${missing.join(' and ')}. Then a fifth is kept aside, to check what was learned.`;
  }
  return `Enough to begin. Learning tells whether it is enough to rely on: see Align.`;
}

async function importFile(app: App, event: SubmitEvent): Promise<void> {
  event.preventDefault();
  const form = event.currentTarget as HTMLFormElement;
  const data = new FormData(form);
  const file = data.get('file') as File;
  const goals = String(data.get('goals')).split(' ') as Goal[];
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
  } catch (error) {
    app.say(`${file.name}: expected a text file of JSON Lines (${messageOf(error)}).`, true);
    return;
  }
  await tell(app, app.ask('importJudgements', text, file.name, goals));
  form.reset();
}

async function tell(app: App, asked: Promise<string | undefined>): Promise<void> {
  const text = await asked;
  if (text !== undefined) app.say(text);
}
