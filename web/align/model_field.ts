import { html, nothing, type TemplateResult } from 'lit-html';
import { callback } from '../../src/host/page/client.ts';
import { HUB } from '../../src/host/page/hub.ts';
import { megabytes } from '../../src/host/page/storage.ts';
import type { AlignSession } from './session.ts';

/** Where a model may come from besides the demo and what is stored. */
type Source = 'folder' | 'hub';

/** A choice of a model: the demo's, one that is stored, a folder from disk, or a name of the hub. */
export class ModelField {
  #session: AlignSession;
  #id: string;
  #label: string;
  #hint: string;
  #demo: string;
  #chosen: (path: string) => void;
  #changed: () => void;
  #source: Source | undefined;
  #transfer: string | undefined;
  #hub = { name: '', endpoint: HUB, token: '' };

  constructor(
    session: AlignSession,
    changed: () => void,
    {
      id,
      label,
      hint,
      demo,
      chosen,
    }: {
      id: string;
      label: string;
      hint: string;
      /** Path of the demo's. */
      demo: string;
      chosen: (path: string) => void;
    },
  ) {
    this.#session = session;
    this.#changed = changed;
    this.#id = id;
    this.#label = label;
    this.#hint = hint;
    this.#demo = demo;
    this.#chosen = chosen;
  }

  view(path: string, stored: readonly string[]): TemplateResult {
    const pick = ({ target }: Event) => {
      const { value } = target as HTMLSelectElement;
      this.#source = value === 'folder' || value === 'hub' ? value : undefined;
      if (!this.#source) this.#chosen(value);
      this.#changed();
    };
    const selected = this.#source ?? path;
    const option = (value: string, text: string) =>
      html`<option value=${value} ?selected=${value === selected}>${text}</option>`;
    const models = stored.includes(path) || path === this.#demo ? stored : [...stored, path];
    return html`<label>
        ${this.#label} <small>${this.#hint}</small>
        <select id=${this.#id} @change=${pick}>
          ${option(this.#demo, 'the demo’s')}
          ${models.map((model) => option(model, model.slice(model.indexOf('/') + 1).replace('--', '/')))}
          ${option('folder', 'a folder on this computer …')} ${option('hub', 'a model of the Hugging Face hub …')}
        </select>
      </label>
      ${this.#source === 'folder' ? this.#folder() : this.#source === 'hub' ? this.#fromHub() : nothing}
      ${this.#transfer ? html`<p class="quiet" role="status">${this.#transfer}</p>` : nothing}`;
  }

  #folder(): TemplateResult {
    const take = ({ target }: Event) => {
      const files = [...((target as HTMLInputElement).files ?? [])];
      const name = files[0]?.webkitRelativePath.split('/')[0] || 'model';
      void this.#bring('copied', (told) =>
        this.#session.client.call((bench) => bench.importModel(name, files, told)),
      );
    };
    return html`<label class="sub">
      The model’s folder <small>with config.json, tokenizer.json and safetensors weights, or model.onnx</small>
      <input id="${this.#id}-folder" type="file" webkitdirectory @change=${take} />
    </label>`;
  }

  #fromHub(): TemplateResult {
    const field = (name: 'name' | 'endpoint' | 'token') => (event: Event) => {
      this.#hub = { ...this.#hub, [name]: (event.target as HTMLInputElement).value };
    };
    const fetchIt = () => {
      const { name, endpoint, token } = this.#hub;
      void this.#bring('fetched', (told) =>
        this.#session.client.call((bench) => bench.fetchModel(name, { endpoint, token }, told)),
      );
    };
    return html`<div class="sub fields">
      <label>
        Name <small>org/name, or org/name@revision</small>
        <input id="${this.#id}-hub" type="text" autocomplete="off" spellcheck="false" @input=${field('name')} />
      </label>
      <details>
        <summary>Another hub, or a token</summary>
        <div class="fields">
          <label>Address <input id="${this.#id}-endpoint" type="url" .value=${this.#hub.endpoint} @input=${field('endpoint')} /></label>
          <label>
            Token <small>for models that ask for one; it is not kept</small>
            <input type="password" autocomplete="off" @input=${field('token')} />
          </label>
        </div>
      </details>
      <button type="button" class="second" @click=${fetchIt}>Fetch it</button>
    </div>`;
  }

  async #bring(
    done: string,
    get: (told: (done: number, total: number) => void) => Promise<string>,
  ): Promise<void> {
    this.#transfer = '…';
    this.#changed();
    const told = callback((bytes: number, total: number) => {
      this.#transfer = `${megabytes(bytes)} of ${megabytes(total)} ${done}`;
      this.#changed();
    });
    const path = await this.#session.guard(() => get(told));
    this.#transfer = undefined;
    if (path !== undefined) {
      this.#source = undefined;
      this.#chosen(path);
    }
    this.#changed();
  }
}
