import { html, nothing, type TemplateResult } from 'lit-html';
import type { Check } from '../shared/channel.ts';
import { placeOn } from '../shared/place.ts';
import { type Aligned, type Balance, GOALS, type Learned, type State, type Work } from '../shared/state.ts';
import type { App } from './app.ts';
import { tradeOffChart } from './chart.ts';
import { confirmButton } from './confirm.ts';
import { save } from './save.ts';
import { agreementText, count, percent, rounded, stageText } from './words.ts';

/** What the last look at the machine found. */
let checks: readonly Check[] | 'looking' | undefined;
/** Where the slider is while it is dragged. */
let dragged: number | undefined;

export function alignView(app: App, state: State): TemplateResult {
  const { work } = state;
  const part = (goal: Work['goal']) => (work?.goal === goal ? workView(app, work) : nothing);
  return html`
    <section aria-labelledby="learn">
      <h2 id="learn"><span class="step">1</span> Learn your preferences</h2>
      ${learnView(app, state)}${part('learn')}
    </section>
    <section aria-labelledby="balance" class=${state.learned ? '' : 'later'}>
      <h2 id="balance"><span class="step">2</span> Choose the balance</h2>
      ${state.learned ? balanceView(app, state, state.learned) : html`<p>Once your preferences are learned, you see here what safety costs in help.</p>`}
    </section>
    <section aria-labelledby="align" class=${state.learned ? '' : 'later'}>
      <h2 id="align"><span class="step">3</span> Align</h2>
      ${alignStep(app, state)}${part('align')}${state.aligned ? resultView(app, state.aligned) : nothing}
    </section>
  `;
}

function learnView(app: App, { counts, learned, work }: State): TemplateResult {
  return html`
    <p>
      From ${count(counts.helpful, 'judgement')} by what helps and ${counts.safe} by safety, on
      ${count(counts.prompts, 'different question')}.
    </p>
    ${learned ? learnedView(learned) : nothing}
    ${
      work
        ? nothing
        : html`<div class="row">
          <button type="button" class=${learned ? '' : 'main'} @click=${() => learn(app)}>${learned ? 'Learn again' : 'Learn'}</button>
          <button type="button" @click=${() => look(app)}>Check this machine</button>
        </div>`
    }
    ${checksView()}
  `;
}

function learnedView({ agreement, counts }: Learned): TemplateResult {
  return html`<ul class="checks">
    ${GOALS.map((goal) => {
      const { good, text } = agreementText(goal, agreement[goal]);
      return checkView(good ? 'good' : 'warning', text);
    })}
    <li class="hint">Learned from ${counts.helpful} and ${counts.safe} judgements.</li>
  </ul>`;
}

function checkView(state: Check['state'], text: string, name?: string): TemplateResult {
  const marks = { good: ['✓', 'good'], warning: ['!', 'mind'], bad: ['✕', 'not possible'] } as const;
  const [mark, said] = marks[state];
  return html`<li class=${state}>
    <span class="mark" role="img" aria-label=${said}>${mark}</span>
    <span>${name ? html`<strong>${name}.</strong> ` : nothing}${text}</span>
  </li>`;
}

function learn(app: App): Promise<void> {
  checks = undefined;
  return app.ask('learn');
}

async function look(app: App): Promise<void> {
  checks = 'looking';
  app.update();
  checks = await app.ask('preflight');
  app.update();
}

function checksView(): TemplateResult | typeof nothing {
  if (!checks) return nothing;
  if (checks === 'looking') return html`<p class="hint" role="status">Looking…</p>`;
  return html`<ul class="checks">${checks.map(({ name, state, text }) => checkView(state, text, name))}</ul>`;
}

function workView(app: App, work: Work): TemplateResult {
  const { status, done = 0, total = 0, unit = '', note, said, error, goal } = work;
  const running = status === 'running';
  return html`<div class="work">
    <p id="stage"><strong>${stageText(work)}</strong>${running ? nothing : status === 'stopped' ? ' — stopped' : ' — failed'}</p>
    ${
      total > 0
        ? html`<progress aria-labelledby="stage" max=${total} .value=${done}></progress>
          <p class="hint">${done} of ${total} ${unit}${note ? `, ${note}` : ''}</p>`
        : running
          ? html`<progress aria-labelledby="stage"></progress>`
          : nothing
    }
    ${error ? html`<p class="bad">${error}</p>` : nothing}
    ${
      running
        ? html`<p class="hint">You can close this panel: the work goes on.</p>
          <div class="row"><button type="button" @click=${() => app.ask('stop')}>Stop</button></div>`
        : html`<div class="row">
          <button type="button" class="main" @click=${() => app.ask('goOn')}>Go on</button>
          ${confirmButton(app, 'discard work', goal === 'learn' ? 'Give up and remove' : 'Give up', false, () => app.ask('discard'))}
        </div>`
    }
    ${said.length > 0 ? html`<details><summary>Details</summary><ul class="said">${said.map((text) => html`<li>${text}</li>`)}</ul></details>` : nothing}
  </div>`;
}

function balanceView(app: App, state: State, { curve }: Learned): TemplateResult {
  const { balance } = state;
  const index = dragged ?? balance?.index ?? 0;
  const { help, safety } = placeOn(curve, index);
  const most = curve.points.length - 1;
  return html`
    <p>Safety has a price in help. Move along the line to say how much help you give up for it.</p>
    ${tradeOffChart(curve, index)}
    <label class="field">
      <span class="ends">More help <span>More safety</span></span>
      <input
        type="range"
        min="0"
        max=${most}
        .value=${String(index)}
        aria-label="From more help to more safety"
        aria-valuetext=${`help ${percent(help)}, safety ${percent(safety)}`}
        ?disabled=${state.work?.status === 'running'}
        @input=${(event: Event) => {
          dragged = Number((event.currentTarget as HTMLInputElement).value);
          app.update();
        }}
        @change=${async (event: Event) => {
          await app.ask('balance', Number((event.currentTarget as HTMLInputElement).value));
          dragged = undefined;
          app.update();
        }}
      />
    </label>
    <dl class="counts two">
      <div><dt>Help</dt><dd>${percent(help)}</dd></div>
      <div><dt>Safety</dt><dd>${percent(safety)}</dd></div>
    </dl>
    <p class="hint">
      0 % is the original model; 100 % is the most that could be had of either alone, as far as the questions and answers
      show. ${help < 0 ? 'Here the model helps less than the original.' : safety < 0 ? 'Here the model is less safe than the original.' : ''}
    </p>
    ${balance && dragged === undefined ? html`<ul class="checks">${planView(balance, curve.prompts)}${samplesView(curve.points[index].essMedian, state.settings.responses)}</ul>` : nothing}
  `;
}

/** The planner's verdict. */
function planView({ lambda, halfWidth, prompts }: Balance, now: number): TemplateResult {
  if (lambda === 0)
    return checkView('good', 'Here safety is had for nothing: the model may look at help alone.');
  if (halfWidth === undefined) {
    return checkView(
      'warning',
      'Here the answers do not show what safety costs: take less of it, or judge more pairs.',
    );
  }
  const price = `The price of safety here is ${rounded(lambda)} ± ${rounded(halfWidth)} (95 %), from ${count(now, 'question')}.`;
  if (halfWidth <= lambda / 2) return checkView('good', `Enough data. ${price}`);
  return checkView(
    'warning',
    `Little data. ${price} About ${prompts} questions would bring the doubt below half the price.`,
  );
}

/** Answers that count for nothing at this place of the curve say nothing of it either. */
const FEW_ANSWERS = 3;

function samplesView(essMedian: number, responses: number): TemplateResult | typeof nothing {
  if (essMedian >= FEW_ANSWERS) return nothing;
  return checkView(
    'warning',
    `This is far from the original: of ${responses} answers to a question, about ${rounded(essMedian)} count here, so the line is rough. Have more answers drawn to each (Data), or stay nearer.`,
  );
}

function alignStep(app: App, { learned, work }: State): TemplateResult | typeof nothing {
  if (work) return nothing;
  if (!learned) return html`<p>Then the model learns the balance itself, and you can chat with it.</p>`;
  return html`
    <p>The model is trained once, towards this balance, and then measured on questions it was not trained on.</p>
    <div class="row"><button type="button" class="main" @click=${() => app.ask('align')}>Align</button></div>
  `;
}

/** What came of aligning: whether each is better than it was, and as much so as the balance promised. */
function resultView(app: App, { gain, hazard, margin, promised, prompts }: Aligned): TemplateResult {
  const kept = gain.safety.interval[1] >= promised;
  return html`<div class="result">
    <h3>On ${count(prompts, 'question')} that it was not trained on</h3>
    <ul class="checks">
      ${
        hazard
          ? checkView(
              hazard.after < hazard.before ? 'good' : 'warning',
              `${percent(hazard.after)} of its answers hold a hazard; the original’s, ${percent(hazard.before)}. Rules count them that took no part in aligning.`,
            )
          : nothing
      }
      ${gainView(gain.safety, ['Safer', 'Less safe', 'About as safe'])}
      ${gainView(gain.reward, ['More helpful', 'Less helpful', 'About as helpful'])}
      ${
        kept
          ? checkView(
              'good',
              `The balance promised ${signed(promised)} of safety on these questions: kept, as far as they show.`,
            )
          : checkView(
              'warning',
              `The balance promised ${signed(promised)} of safety on these questions, and it came to less: have more answers drawn to each (Data).`,
            )
      }
      <li class="hint">
        ${signed(margin)} of safety is what the balance asks for on the questions it was trained on. Safety and help are
        measured by what it learned from you, so read some answers too.
      </li>
    </ul>
    <div class="row">
      <button type="button" class="main" @click=${() => app.go('chat')}>Chat with it</button>
      <button type="button" @click=${async () => save(await app.ask('exportAdapter'))}>Export the adapter</button>
    </div>
  </div>`;
}

function gainView(
  { mean, interval: [low, high] }: Aligned['gain']['reward'],
  [more, less, same]: readonly [string, string, string],
): TemplateResult {
  const range = `${signed(mean)} (95 % range ${signed(low)} to ${signed(high)})`;
  if (low > 0) return checkView('good', `${more} than the original: ${range}.`);
  if (high < 0) return checkView('bad', `${less} than the original: ${range}.`);
  return checkView('warning', `${same} as the original, as far as these questions show: ${range}.`);
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${rounded(Math.abs(value))}`;
}
