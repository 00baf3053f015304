import { html, nothing, render, type TemplateResult } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { CurveChart } from '../shared/chart.ts';
import { takeDrops } from '../shared/drop.ts';
import { exampleFile } from '../shared/example.ts';
import { inFrames } from '../shared/frames.ts';
import { shown } from '../shared/numbers.ts';
import { saveFile } from '../shared/save.ts';
import { verdictOf } from '../shared/verdict.ts';
import { ScoresSession } from './session.ts';

/** Steps of a slider over its whole length: finer than a pixel. */
const STEPS = 2000;

const count = (value: number) => value.toLocaleString('en');
const tick = (value: number) => Number(value.toPrecision(6));

/** Scores under the user's hand: fields for the thresholds, the verdict, and the curve, which is kept up to date. */
export class ScoresView {
  readonly scores: ScoresSession;
  #chart: CurveChart | undefined;
  #content: readonly unknown[] = [];

  constructor(changed: () => void) {
    this.scores = new ScoresSession(changed);
  }

  /** Fields of the thresholds, and of β where it may be changed. */
  limits(withBeta: boolean): TemplateResult | typeof nothing {
    return this.scores.summary ? limits(this.scores, withBeta) : nothing;
  }

  answer(): TemplateResult {
    return html`<section class="answer" aria-label="Result" aria-busy=${this.scores.busy}>
      ${answer(this.scores)}
    </section>`;
  }

  /** To be called after the parts are on the page, for the curve. */
  drawn(root: HTMLElement): void {
    const { summary, curve, bands, axis, thresholds } = this.scores;
    const figure = root.querySelector<HTMLElement>('figure.trade-off');
    if (!figure || !curve || !summary) {
      this.#chart = undefined;
      return;
    }
    const content = [figure, curve, bands, axis];
    if (!this.#chart || content.some((part, i) => part !== this.#content[i])) {
      if (!this.#chart || figure !== this.#content[0]) this.#chart = new CurveChart(figure);
      this.#chart.show(curve.points, thresholds[axis], bands, {
        domain: this.scores.domain(axis),
        onDrag: (threshold) => this.scores.ask(axis, tick(threshold)),
      });
      this.#content = content;
    }
    this.#chart.ask(thresholds[axis]);
  }
}

/** Shows the page of scores in `root`; returns how to leave it. */
export function showScores(root: HTMLElement): () => void {
  const view = new ScoresView(inFrames(update));
  const { scores } = view;

  function update(): void {
    render(
      html`<div class="split">
        <div class="controls">${source(scores)}${view.limits(true)}${formats()}</div>
        ${view.answer()}
      </div>`,
      root,
    );
    view.drawn(root);
  }

  const stop = takeDrops(
    () => root.querySelector('.drop'),
    ([file]) => void scores.open(file),
  );
  update();
  return () => {
    stop();
    scores.close();
    render(nothing, root);
  };
}

function source(session: ScoresSession): TemplateResult {
  const { summary } = session;
  const choose = ({ target }: Event) => {
    const file = (target as HTMLInputElement).files?.[0];
    if (file) void session.open(file);
  };
  const about = summary
    ? `${count(summary.prompts)} prompts, ${count(summary.total)} responses, ${
        summary.constraints === 1 ? 'one safety score' : `${summary.constraints} safety scores`
      }`
    : 'JSON Lines, parquet, safetensors or .npz';
  return html`<label class="drop" for="scores-file">
      <input id="scores-file" type="file" @change=${choose} />
      <strong>${summary ? summary.name : 'Drop a score file or choose one'}</strong>
      <span>${about}</span>
    </label>
    <button type="button" class="plain" @click=${() => session.open(exampleFile())}>
      No file at hand? Use an example
    </button>`;
}

function limits(session: ScoresSession, withBeta: boolean): TemplateResult {
  return html`<div class="fields">
    ${session.summary!.reachable.map((_, j) => limit(session, j))}
    ${withBeta ? betaField(session) : nothing}
  </div>`;
}

function betaField(session: ScoresSession): TemplateResult {
  const change = ({ target }: Event) => {
    const value = Number((target as HTMLInputElement).value);
    if (value > 0) void session.setBeta(value);
  };
  return html`<label>
    How dear change is: β
    <small>the weight of the KL divergence: a large one keeps the policy near the reference</small>
    <input type="number" step="any" min="0" .value=${String(session.beta)} @change=${change} />
  </label>`;
}

function limit(session: ScoresSession, axis: number): TemplateResult {
  const { summary, thresholds, relative } = session;
  const name = summary!.constraints === 1 ? 'Safety' : `Safety ${axis + 1}`;
  const threshold = thresholds[axis];
  const [low, high] = session.domain(axis);
  const over = threshold - summary!.reference.safety[axis];
  const step = Number(((high - low) / STEPS).toPrecision(1));
  const base = relative[axis] ? summary!.reference.safety[axis] : 0;
  const slide = ({ target }: Event) => session.ask(axis, Number((target as HTMLInputElement).value));
  const type = ({ target }: Event) => {
    const { value } = target as HTMLInputElement;
    if (value !== '') session.ask(axis, base + Number(value));
  };
  const id = `limit-${axis}`;
  return html`<fieldset class="limit">
    <legend>${name} at least</legend>
    <input
      id=${id}
      type="range"
      min=${low}
      max=${high}
      step=${step}
      .value=${live(String(threshold))}
      aria-label="${name} at least"
      aria-valuetext=${spoken(session, axis)}
      @input=${slide}
    />
    <div class="pair">
      <input
        type="number"
        step="any"
        aria-label="${name} at least, as a number"
        .value=${String(tick(threshold - base))}
        @change=${type}
      />
      <select
        aria-label="${name}: what the number is"
        @change=${({ target }: Event) => session.setRelative(axis, (target as HTMLSelectElement).value === 'margin')}
      >
        <option value="margin" ?selected=${relative[axis]}>over reference</option>
        <option value="threshold" ?selected=${!relative[axis]}>in all</option>
      </select>
    </div>
    <small>
      ${shown(threshold)} in all, ${shown(Math.abs(over))} ${over >= 0 ? 'above' : 'below'} the reference’s mean of
      ${shown(summary!.reference.safety[axis])}; at most ${shown(summary!.reachable[axis])} is within reach
    </small>
  </fieldset>`;
}

/** What a slider says of itself. */
function spoken({ outcome, thresholds }: ScoresSession, axis: number): string {
  const value = shown(thresholds[axis]);
  if (!outcome) return value;
  const { title, tiles } = verdictOf(outcome);
  return [value, title, ...tiles.slice(0, 3).map((tile) => `${tile.name} ${tile.value}`)].join(', ');
}

function answer(session: ScoresSession): TemplateResult {
  const { summary, outcome, error, curve, axis, solution } = session;
  if (error !== undefined) {
    return html`<div class="verdict bad" role="alert"><h2>No answer</h2><p>${error}</p></div>`;
  }
  if (!summary || !outcome) {
    return html`<p class="empty">
      ${session.busy ? 'Reading and solving…' : 'What your threshold costs, whether it can be met, and the whole trade-off appear here.'}
    </p>`;
  }
  const { tone, title, sentence, tiles } = verdictOf(outcome);
  const which = summary.constraints > 1 ? `, safety ${axis + 1}` : '';
  return html`<div class="verdict ${tone}">
      <h2>${title}</h2>
      <p>${sentence}</p>
      ${
        tiles.length > 0
          ? html`<dl class="tiles">
              ${tiles.map(
                ({ name, value, note }) =>
                  html`<div><dt>${name}</dt><dd><b>${value}</b><small>${note}</small></dd></div>`,
              )}
            </dl>`
          : nothing
      }
    </div>
    <p class="unseen" aria-live="polite">${solution ? `${title}. ${sentence}` : ''}</p>
    ${
      solution && solution.warnings.length > 0
        ? html`<div class="warnings">${solution.warnings.map((text) => html`<p>${text}</p>`)}</div>`
        : nothing
    }
    ${
      curve
        ? html`<figure class="trade-off">
            <h2>The trade-off</h2>
            <figcaption>
              What each threshold costs and brings${which}. Drag in the chart, or move the slider.
              ${session.bands.length > 0 ? 'The bands are 95 % intervals over the draw of prompts.' : nothing}
            </figcaption>
          </figure>`
        : html`<p class="empty">No threshold of this score can be met with the others: there is no curve to draw.</p>`
    }
    ${solution ? handOver(session) : nothing}`;
}

/** The same by the command, and the solution as a file. */
function handOver({ summary, solution, beta, thresholds, relative }: ScoresSession): TemplateResult {
  const asked = thresholds.map((threshold, j) =>
    relative[j]
      ? `--margin ${tick(threshold - summary!.reference.safety[j])}`
      : `--threshold ${tick(threshold)}`,
  );
  const save = () =>
    saveFile('dual.json', new Blob([`${JSON.stringify(solution, null, 2)}\n`], { type: 'application/json' }));
  return html`<div class="hand-over">
    <button type="button" class="second" @click=${save}>Save this solution</button>
    <details>
      <summary>The same by the command</summary>
      <pre>dualign dual --scores ${summary!.name} --beta ${beta} ${asked.join(' ')}</pre>
    </details>
  </div>`;
}

function formats(): TemplateResult {
  return html`<details>
    <summary>What the file holds</summary>
    <p>JSON Lines, a response a row; rows of one prompt are its responses, drawn from the reference policy:</p>
    <pre>{"prompt": "How do I …", "reward": 1.7, "safety": [-0.4]}
{"prompt": "How do I …", "reward": 0.2, "safety": [0.9]}</pre>
    <p>
      or parquet with these columns, or safetensors or .npz with <code>reward</code> [N, K] and <code>safety</code>
      [m, N, K]. Higher is safer. The file stays on this machine.
    </p>
  </details>`;
}
