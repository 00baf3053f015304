import { html, nothing, type TemplateResult } from 'lit-html';
import { DEVICES, FIELDS, RUNS_ON } from '../shared/fields.ts';
import { DEMO, type Settings, type State } from '../shared/state.ts';
import { type App, allowHub } from './app.ts';
import { confirmButton } from './confirm.ts';
import { save } from './save.ts';

/** The hub and where it keeps large files; the manifest has the same. */
const HUB = ['https://huggingface.co/*', 'https://*.huggingface.co/*', 'https://*.hf.co/*'];

export function dataView(app: App, state: State): TemplateResult {
  return html`
    <section>
      <h2>Model</h2>
      ${modelView(app, state)}
    </section>
    <section>
      <h2>Settings of learning</h2>
      ${settingsView(app, state)}
    </section>
    <section>
      <h2>Your data</h2>
      <p>
        Everything is on this machine: the chat, your judgements, what was learned from them, and models you brought.
        Nothing is sent anywhere. The network is used only when you fetch a model by name.
      </p>
      <div class="row">
        <button type="button" ?disabled=${!state.aligned} @click=${async () => save(await app.ask('exportAdapter'))}>Export the adapter (PEFT)</button>
        <button type="button" ?disabled=${state.counts.helpful + state.counts.safe === 0} @click=${async () => save(await app.ask('exportJudgements'))}>Export the judgements (TRL)</button>
        <button type="button" @click=${async () => save(await app.ask('exportAll'))}>Export everything</button>
      </div>
      <div class="row">
        ${confirmButton(app, 'delete all', 'Delete everything', false, async () => {
          await app.ask('deleteAll');
          app.say('Everything is deleted.');
        })}
      </div>
    </section>
  `;
}

function modelView(app: App, { model, models, fetching, work, answering }: State): TemplateResult {
  const busy = answering || fetching !== undefined || work?.status === 'running';
  return html`
    <label class="field">
      Model in use
      <select
        ?disabled=${busy}
        @change=${(event: Event) => app.ask('useModel', (event.currentTarget as HTMLSelectElement).value)}
      >
        ${models.map(({ path, name }) => html`<option value=${path} ?selected=${path === model.path}>${name}</option>`)}
      </select>
    </label>
    <p class="hint">Another model begins with an empty chat, and learns anew. Your judgements stay.</p>
    ${
      model.path === DEMO.path
        ? nothing
        : html`<div class="row">${confirmButton(app, 'remove model', 'Remove this model', busy, () => app.ask('removeModel', model.path))}</div>`
    }
    ${
      fetching
        ? html`<div class="work">
          <p id="fetching"><strong>${fetching.name}</strong> is on its way</p>
          <progress aria-labelledby="fetching" max=${fetching.total || 1} .value=${fetching.done}></progress>
          <div class="row"><button type="button" @click=${() => app.ask('stop')}>Stop</button></div>
        </div>`
        : html`
          <label class="field">
            Folder from this machine, as Hugging Face has them
            <input type="file" webkitdirectory ?disabled=${busy} @change=${(event: Event) => importFolder(app, event)} />
          </label>
          <form @submit=${(event: SubmitEvent) => fetchByName(app, event)}>
            <label class="field">Or from the hub, by name <input name="name" placeholder="org/name" required ?disabled=${busy} /></label>
            <div class="row"><button ?disabled=${busy}>Fetch</button></div>
          </form>`
    }
  `;
}

async function importFolder(app: App, event: Event): Promise<void> {
  const input = event.currentTarget as HTMLInputElement;
  const files = [...(input.files ?? [])];
  if (files.length === 0) return;
  const folder = files[0].webkitRelativePath.split('/')[0] || 'model';
  await app.ask('importModel', folder, files);
  input.value = '';
}

async function fetchByName(app: App, event: SubmitEvent): Promise<void> {
  event.preventDefault();
  const name = String(new FormData(event.currentTarget as HTMLFormElement).get('name'));
  if (await allowHub(HUB)) await app.ask('fetchModel', name);
  else app.say('Without your permission the hub is not reached, and nothing was fetched.', true);
}

function settingsView(app: App, { settings, work, answering }: State): TemplateResult {
  const busy = answering || work !== undefined;
  return html`
    <label class="field">
      ${RUNS_ON}
      <select ?disabled=${busy} @change=${(event: Event) => {
        const device = (event.currentTarget as HTMLSelectElement).value as Settings['device'];
        void app.ask('change', { device });
      }}>
        ${Object.entries(DEVICES).map(
          ([value, text]) =>
            html`<option value=${value} ?selected=${settings.device === value}>${text}</option>`,
        )}
      </select>
    </label>
    <div class="fields">
      ${FIELDS.map(
        ({ name, label, min, step }) => html`<label class="field">
          ${label}
          <input
            type="number"
            name=${name}
            min=${min}
            step=${step}
            .value=${String(settings[name])}
            ?disabled=${busy}
            @change=${(event: Event) => setNumber(app, name, event.currentTarget as HTMLInputElement, settings[name])}
          />
        </label>`,
      )}
    </div>
  `;
}

function setNumber(
  app: App,
  name: (typeof FIELDS)[number]['name'],
  input: HTMLInputElement,
  before: number,
): void {
  const value = input.valueAsNumber;
  if (input.checkValidity() && value > 0) {
    void app.ask('change', { [name]: value });
    return;
  }
  app.say(
    `${input.labels![0].textContent.trim()}: expected a number of at least ${input.min}, got ${input.value || 'none'}.`,
    true,
  );
  input.value = String(before);
}
