import { html, nothing, type TemplateResult } from 'lit-html';
import { type AnswersBy, type Choice, GOALS, type Goal, type State, type Turn } from '../shared/state.ts';
import type { App } from './app.ts';
import { GOAL_NAMES } from './words.ts';

const LETTERS = ['A', 'B'] as const;

export function chatView(app: App, state: State): TemplateResult {
  const { turns, answering } = state;
  const busy = answering || state.work?.status === 'running';
  return html`
    ${state.aligned ? whoAnswers(app, state.answersBy) : nothing}
    <section class="turns" aria-label="Conversation" role="log">
      ${turns.length === 0 ? introduction(app, state) : turns.map((turn) => turnView(app, turn, busy))}
    </section>
    ${
      state.work?.status === 'running'
        ? html`<p class="hint">The model is at work; it answers again when that is done, or stopped.</p>`
        : nothing
    }
    <form class="composer" @submit=${(event: SubmitEvent) => send(app, event)}>
      <label class="hidden" for="question">Your question</label>
      <textarea
        id="question"
        name="question"
        rows="2"
        placeholder="Ask the model"
        @keydown=${(event: KeyboardEvent) => {
          if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            (event.currentTarget as HTMLTextAreaElement).form!.requestSubmit();
          }
        }}
      ></textarea>
      <div class="row">
        ${
          answering
            ? html`<button type="button" class="main" @click=${() => app.ask('stopAnswering')}>Stop</button>`
            : html`<button class="main" ?disabled=${busy}>Ask</button>`
        }
        <button type="button" ?disabled=${busy} @click=${() => app.ask('askSample')}>Sample question, two answers</button>
        ${
          turns.length > 0
            ? html`<button type="button" class="quiet" ?disabled=${busy} @click=${() => app.ask('clearChat')}>Clear</button>`
            : nothing
        }
      </div>
    </form>
  `;
}

function introduction(app: App, { counts, model }: State): TemplateResult {
  const showExample = async () => {
    await app.ask('importExamples');
    app.go('align');
  };
  return html`<div class="empty">
    <p><strong>A language model that runs on this machine alone.</strong></p>
    <p>
      Ask it something, then ask for another answer and judge the two: which helps more, and which is safer. From your
      judgements it learns both, you choose the balance, and it aligns itself.
    </p>
    ${
      model.form !== undefined && counts.helpful + counts.safe === 0
        ? html`<p>To see it at once, take the examples that come along: 1,598 judgements of household answers.</p>
          <div class="row"><button type="button" @click=${showExample}>Try it with the examples</button></div>`
        : nothing
    }
  </div>`;
}

function whoAnswers(app: App, by: AnswersBy): TemplateResult {
  const option = (value: AnswersBy, text: string) => html`
    <label class="segment">
      <input type="radio" name="answers-by" .checked=${by === value} @change=${() => app.ask('answerBy', value)} />
      <span>${text}</span>
    </label>`;
  return html`<fieldset class="segments">
    <legend>Who answers</legend>
    ${option('original', 'Original')}${option('aligned', 'Aligned')}
  </fieldset>`;
}

function turnView(app: App, turn: Turn, busy: boolean): TemplateResult {
  const { answers, question, error } = turn;
  const isPair = answers.length > 1;
  const whole = answers.every(({ done }) => done);
  return html`
    <article aria-label=${question}>
      <p class="question">${question}</p>
      <div class=${isPair ? 'answers pair' : 'answers'}>
        ${answers.map(
          ({ text, by, done }, index) => html`
            <div class="answer">
              ${isPair || by === 'aligned' ? html`<p class="tag">${isPair ? LETTERS[index] : ''}${by === 'aligned' ? html` <span>aligned</span>` : nothing}</p>` : nothing}
              <p aria-busy=${done ? 'false' : 'true'}>${text.trim() || (done ? html`<em>(nothing)</em>` : '…')}</p>
            </div>
          `,
        )}
      </div>
      ${error ? html`<p class="bad">${error}</p>` : nothing}
      ${
        whole && answers.length < 2
          ? html`<button type="button" class="again" ?disabled=${busy} @click=${() => app.ask('answerAgain', turn.id)}>${answers.length === 0 ? 'Answer' : 'Another answer'}</button>`
          : nothing
      }
      ${isPair && whole ? judging(app, turn) : nothing}
    </article>
  `;
}

function judging(app: App, { id, answers, judged }: Turn): TemplateResult {
  if (answers[0].text === answers[1].text) {
    return html`<p class="hint">Both answers are the same: there is nothing to judge.</p>`;
  }
  const option = (goal: Goal, choice: Choice, text: string) => html`
    <label class="segment">
      <input
        type="radio"
        name=${`${goal}-${id}`}
        .checked=${judged[goal] === choice}
        @change=${() => app.ask('judge', id, goal, choice)}
      />
      <span>${text}</span>
    </label>`;
  return html`<div class="judging">
    ${GOALS.map(
      (goal) => html`<fieldset class="segments">
        <legend>Which is ${GOAL_NAMES[goal]}?</legend>
        ${option(goal, 0, 'A')}${option(goal, 1, 'B')}${option(goal, 'same', 'Same')}
      </fieldset>`,
    )}
  </div>`;
}

async function send(app: App, event: SubmitEvent): Promise<void> {
  event.preventDefault();
  const { currentTarget, submitter } = event;
  const form = currentTarget as HTMLFormElement;
  if (submitter instanceof HTMLButtonElement && submitter.disabled) return;
  const field = form.elements.namedItem('question') as HTMLTextAreaElement;
  const question = field.value;
  field.value = '';
  const asked = app.ask('ask', question);
  await asked;
}
