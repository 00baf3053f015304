import { html, nothing, render, type TemplateResult } from 'lit-html';
import { inFrames } from '../shared/frames.ts';
import { TrainingCharts } from './charts.ts';
import { ChatView } from './chat_view.ts';
import { progressView } from './progress_view.ts';
import { ResultView } from './result_view.ts';
import { AlignSession } from './session.ts';
import { SetupView } from './setup_view.ts';
import { SolvedView } from './solved_view.ts';

/** The one session of the page: a run goes on while another page is looked at. */
let shared: AlignSession | undefined;
let show: () => void = () => {};

/** Shows the page of runs in `root`; returns how to leave it. */
export function showAlign(root: HTMLElement): () => void {
  const session = shared ?? new AlignSession(() => show());
  shared = session;
  const changed = inFrames(update);
  show = changed;
  const setup = new SetupView(session, changed);
  const solved = new SolvedView(session, changed);
  const result = new ResultView(session, changed);
  const chat = new ChatView(session, changed);
  const charts = new TrainingCharts();
  let shown = '';

  function page(): TemplateResult {
    const { phase, error } = session;
    switch (phase.kind) {
      case 'setup':
        return setup.view();
      case 'running':
        return html`${progressView(session, phase.pace)} ${figures()}`;
      case 'solved':
        return solved.view(phase.dual);
      case 'done':
        return html`${result.view()} ${alert(error)} ${chat.view()} ${figures()}`;
      case 'failed':
        return html`<section class="run">
          <div class="verdict bad" role="alert"><h2>The run stopped</h2><p>${phase.message}</p></div>
          <p class="quiet">What it had made is kept: it goes on from its last checkpoint, here or later under “Runs in this browser”.</p>
          <div class="buttons">
            <button type="button" id="go-on" @click=${() => session.goOn()}>Go on</button>
            <button type="button" id="back" class="second" @click=${() => session.leave()}>Back</button>
          </div>
        </section>`;
    }
  }

  function figures(): TemplateResult | typeof nothing {
    const metrics = [...session.metrics.values()].at(-1);
    if (!metrics || metrics.length < 2) return nothing;
    return html`<section aria-labelledby="training">
      <h2 id="training">Training</h2>
      <div class="charts"></div>
    </section>`;
  }

  function update(): void {
    render(html`<div class="align">${page()}</div>`, root);
    if (session.phase.kind === 'solved') solved.drawn(root);
    const place = root.querySelector('.charts');
    if (place) charts.draw(place, [...session.metrics.values()].at(-1)!);
    // Another phase is another page: whoever listens to it begins at its top.
    if (session.phase.kind !== shown && shown !== '') root.focus({ preventScroll: false });
    shown = session.phase.kind;
  }

  update();
  void session.refresh();
  void setup.refresh();
  return () => {
    show = () => {};
    solved.close();
    render(nothing, root);
  };
}

function alert(error: string | undefined): TemplateResult | typeof nothing {
  return error === undefined ? nothing : html`<div class="verdict bad" role="alert"><p>${error}</p></div>`;
}
