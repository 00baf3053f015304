import { html, nothing, type TemplateResult } from 'lit-html';
import type { AlignSession, Pace, ShownStage } from './session.ts';
import { duration, stageWords } from './words.ts';

/** A run under way: its stages, how far the present one is, and what may be done. */
export function progressView(session: AlignSession, pace: Pace): TemplateResult {
  const paused = pace === 'paused';
  const { stages, notes, device, persisted } = session;
  const here = stages.find(({ state }) => state === 'started');
  return html`<section class="run" aria-labelledby="running">
    <h2 id="running">${paused ? 'Paused' : 'Under way'}</h2>
    <p class="unseen" role="status">${paused ? 'Paused.' : ''} ${here ? stageWords(here.name) : ''}</p>
    <ol class="stages">${stages.map((stage) => stageView(session, stage))}</ol>
    <div class="buttons">
      ${
        paused
          ? html`<button type="button" id="resume" @click=${() => session.resume()}>Go on</button>`
          : html`<button
              type="button"
              id="pause"
              class="second"
              ?disabled=${pace === 'pausing'}
              @click=${() => session.pause()}
            >
              ${pace === 'pausing' ? 'Pausing …' : 'Pause'}
            </button>`
      }
      <button type="button" id="cancel" class="second" @click=${() => session.cancel()}>Cancel</button>
    </div>
    <p class="quiet">
      ${device ? html`Runs on ${deviceWords(device)}. ` : nothing}Cancelled or closed, the run goes on later from its last
      checkpoint.
      ${
        persisted === false
          ? 'The browser may clear what this page keeps when the disk is full: save what you want to keep.'
          : nothing
      }
    </p>
    ${notes.length > 0 ? html`<details><summary>Notes</summary>${notes.map((note) => html`<p>${note}</p>`)}</details>` : nothing}
  </section>`;
}

function deviceWords({ engine, vendor, description }: NonNullable<AlignSession['device']>): string {
  return engine === 'webgpu'
    ? `the graphics card (${[vendor, description].filter(Boolean).join(' ')})`
    : `the processor (${description})`;
}

function stageView({ advance }: AlignSession, { name, state, note }: ShownStage): TemplateResult {
  const marks = { started: '', done: '✓', kept: '✓', given: '✓' };
  const under = state === 'started';
  return html`<li class=${under ? 'here' : ''}>
    <span class="mark" aria-hidden="true">${marks[state]}</span>
    <div>
      <span>${stageWords(name)}</span>
      <small>${name}${note ? `: ${note}` : ''}${state === 'kept' ? ', done before' : ''}</small>
      ${under && advance ? bar(advance) : nothing}
    </div>
  </li>`;
}

function bar({ done, total, unit, note, rate }: NonNullable<AlignSession['advance']>): TemplateResult {
  const left = rate > 0 && done < total ? `${duration((total - done) / rate)} left` : '';
  const text = [`${done} of ${total} ${unit}`, left, note].filter(Boolean).join(', ');
  return html`<progress max=${total} .value=${done} aria-label=${unit}></progress>
    <small>${text}</small>`;
}
