import { html, nothing, type TemplateResult } from 'lit-html';
import type { RunDual } from '../../src/align/dual.ts';
import { ScoresView } from '../scores/view.ts';
import { shown } from '../shared/numbers.ts';
import type { AlignSession } from './session.ts';

/** The price is known: the threshold may be moved along the curve of the run's own scores, and training begun. */
export class SolvedView {
  #session: AlignSession;
  #scores: ScoresView;
  #dual: RunDual | undefined;

  constructor(session: AlignSession, changed: () => void) {
    this.#session = session;
    this.#scores = new ScoresView(changed);
  }

  view(dual: RunDual): TemplateResult {
    if (dual !== this.#dual) {
      this.#dual = dual;
      void this.#open(dual);
    }
    const { scores } = this.#scores;
    const { solution } = scores;
    const ready = solution !== undefined && solution.status !== 'infeasible';
    const train = () => this.#session.train(this.#limit());
    return html`<div class="split">
      <div class="controls">
        <h2>How safe should it be?</h2>
        <p class="quiet">
          ${shown(dual.prompts)} prompts were answered and scored. Move the threshold: what the aligned model will do follows.
        </p>
        ${this.#scores.limits(false)}
        <button type="button" id="train" ?disabled=${!ready} @click=${train}>Train with this threshold</button>
        <button type="button" class="second" id="leave" @click=${() => this.#session.leave()}>Leave it for later</button>
        ${
          solution?.status === 'infeasible'
            ? html`<p class="quiet">This threshold is out of reach: no training could meet it.</p>`
            : nothing
        }
      </div>
      ${this.#scores.answer()}
    </div>`;
  }

  /** To be called after what `view` gave is on the page. */
  drawn(root: HTMLElement): void {
    this.#scores.drawn(root);
  }

  close(): void {
    this.#scores.scores.close();
  }

  async #open({ thresholds, limits, beta }: RunDual): Promise<void> {
    const file = await this.#session.guard(() => this.#session.scores());
    if (!file) return;
    await this.#scores.scores.open(file, {
      beta,
      thresholds,
      relative: limits.map(({ kind }) => kind === 'margin'),
    });
  }

  #limit() {
    const { summary, thresholds, relative } = this.#scores.scores;
    const base = summary!.reference.safety[0];
    return relative[0]
      ? { kind: 'margin' as const, value: Number((thresholds[0] - base).toPrecision(12)) }
      : { kind: 'threshold' as const, value: thresholds[0] };
  }
}
