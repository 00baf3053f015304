import { html, nothing, type TemplateResult } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { DEMO, DEMO_POLICY, type Method } from './demo.ts';
import { DEVICES, FIELDS, MARGIN, RUNS_ON, TEMPLATE, TEMPLATES } from './fields.ts';
import { FileField } from './file_field.ts';
import { storedModels } from './files.ts';
import { ModelField } from './model_field.ts';
import { runTitle, type StoredRun } from './runs.ts';
import type { AlignSession } from './session.ts';
import { configOf, demoSetup, type Setup, withPolicy } from './setup.ts';

/** What is asked before a run: which model, what for, and how much. */
export class SetupView {
  #session: AlignSession;
  #changed: () => void;
  #setup: Setup = demoSetup('mocan');
  #choose = true;
  #stored: readonly string[] = [];
  #models: Record<'policy' | 'reward' | 'cost', ModelField>;
  #files: Record<'prompts' | 'helpful' | 'safe', FileField>;

  constructor(session: AlignSession, changed: () => void) {
    this.#session = session;
    this.#changed = changed;
    const model = (id: 'policy' | 'reward' | 'cost', label: string, hint: string) =>
      new ModelField(session, changed, {
        id,
        label,
        hint,
        demo: `${DEMO}/${id}`,
        chosen: (path) => {
          this.#set(id === 'policy' ? withPolicy(this.#setup, path) : { ...this.#setup, [id]: path });
          void this.refresh();
        },
      });
    this.#models = {
      policy: model('policy', 'The model to align', 'of the Llama, Mistral or Qwen family'),
      reward: model('reward', 'A model that scores how good an answer is', 'the reward model'),
      cost: model('cost', 'A model that scores how harmful an answer is', 'the cost model'),
    };
    const file = (kind: 'prompts' | 'helpful' | 'safe', label: string, hint: string) =>
      new FileField(session, {
        kind,
        label,
        hint,
        demo: `${DEMO}/${kind}.jsonl`,
        chosen: (path) => this.#set({ ...this.#setup, [kind]: path }),
      });
    this.#files = {
      prompts: file('prompts', 'Prompts', 'a prompt a line, or JSON Lines {"prompt": …}'),
      helpful: file('helpful', 'Pairs by help', 'JSON Lines {"prompt", "chosen", "rejected"}'),
      safe: file('safe', 'Pairs by safety', 'the same, the safer answer first'),
    };
  }

  /** Looks at the models in the storage. */
  async refresh(): Promise<void> {
    this.#stored = await storedModels();
    this.#changed();
  }

  view(): TemplateResult {
    const { error, runs } = this.#session;
    return html`<div class="split">
      <form @submit=${this.#submit}>
        <h2>Align a model</h2>
        ${this.#method()} ${this.#inputs()} ${this.#limit()} ${this.#details()}
        <button type="submit" id="start">Start</button>
        ${
          isSecureContext
            ? nothing
            : html`<div class="verdict bad" role="alert">
                <p>Browsers give pages storage and WebGPU only by https or from localhost: open this one so.</p>
              </div>`
        }
        ${error === undefined ? nothing : html`<div class="verdict bad" role="alert"><p>${error}</p></div>`}
      </form>
      <div class="beside">${explanation(this.#setup)} ${runs.length > 0 ? this.#earlier(runs) : nothing}</div>
    </div>`;
  }

  #set(setup: Setup): void {
    this.#setup = setup;
    this.#changed();
  }

  #submit = (event: Event) => {
    event.preventDefault();
    void this.#session.start(configOf(this.#setup), this.#choose);
  };

  #method(): TemplateResult {
    const radio = (value: Method, text: string, note: string) => html`<label class="choice">
      <input
        type="radio"
        name="method"
        value=${value}
        .checked=${live(this.#setup.method === value)}
        @change=${() => this.#set({ ...demoSetup(value), policy: this.#setup.policy, device: this.#setup.device })}
      />
      <span>${text} <small>${note}</small></span>
    </label>`;
    return html`<fieldset class="limit">
      <legend>What says which answers are good and which are harmful?</legend>
      ${radio('mocan', 'Two models that score answers', 'a reward and a cost model: MoCAN')}
      ${radio('pecan', 'Two files of pairs', 'preferences by help and by safety: PeCAN')}
    </fieldset>`;
  }

  #inputs(): TemplateResult {
    const { policy, reward, cost, prompts, helpful, safe, method } = this.#setup;
    const { policy: policies, reward: rewards, cost: costs } = this.#models;
    return html`<div class="fields">
      ${policies.view(policy, this.#stored)}
      ${
        policy === DEMO_POLICY
          ? nothing
          : html`${this.#files.prompts.view(prompts)}
            ${
              method === 'mocan'
                ? html`${rewards.view(reward, this.#stored)} ${costs.view(cost, this.#stored)}${this.#direction()}`
                : html`${this.#files.helpful.view(helpful)} ${this.#files.safe.view(safe)}`
            }`
      }
    </div>`;
  }

  #direction(): TemplateResult {
    const change = ({ target }: Event) =>
      this.#set({ ...this.#setup, costIsSafety: (target as HTMLInputElement).checked });
    return html`<label class="choice">
      <input type="checkbox" .checked=${live(this.#setup.costIsSafety)} @change=${change} />
      <span>This model’s scores are higher for safer answers</span>
    </label>`;
  }

  #limit(): TemplateResult {
    const change = ({ target }: Event) =>
      this.#set({ ...this.#setup, margin: Number((target as HTMLInputElement).value) });
    const choose = ({ target }: Event) => {
      this.#choose = (target as HTMLInputElement).checked;
    };
    return html`<div class="fields">
      <label>
        ${MARGIN}
        <small>by so much the mean safety score is to rise: the margin</small>
        <input id="margin" type="number" step="any" required .value=${String(this.#setup.margin)} @change=${change} />
      </label>
      <label class="choice">
        <input id="choose" type="checkbox" .checked=${live(this.#choose)} @change=${choose} />
        <span>Show me what it costs first, before anything is trained</span>
      </label>
    </div>`;
  }

  #details(): TemplateResult {
    const { settings, device, chatTemplate } = this.#setup;
    return html`<details>
      <summary>More settings</summary>
      <div class="fields two">
        ${
          // Bound without `live`: what is being typed outlives a drawing meanwhile.
          FIELDS.map(({ name, label, hint, step, min }) => {
            const change = ({ target }: Event) => {
              const value = Number((target as HTMLInputElement).value);
              // What was chosen since this was drawn stays chosen.
              this.#set({ ...this.#setup, settings: { ...this.#setup.settings, [name]: value } });
            };
            return html`<label>
            ${label} <small>${hint}</small>
            <input id=${name} type="number" step=${step} min=${min} required .value=${String(settings[name])} @change=${change} />
          </label>`;
          })
        }
        ${this.#choice('chat_template', TEMPLATE, 'of models that chat', TEMPLATES, chatTemplate, (value) => ({ chatTemplate: value }))}
        ${this.#choice('device', RUNS_ON, 'a graphics card where there is one', DEVICES, device, (value) => ({ device: value }))}
      </div>
    </details>`;
  }

  #choice<T extends string>(
    id: string,
    label: string,
    hint: string,
    options: Readonly<Record<T, string>>,
    chosen: T,
    change: (value: T) => Partial<Setup>,
  ): TemplateResult {
    const take = ({ target }: Event) =>
      this.#set({ ...this.#setup, ...change((target as HTMLSelectElement).value as T) });
    return html`<label>
      ${label} <small>${hint}</small>
      <select id=${id} @change=${take}>
        ${Object.entries(options).map(
          ([value, text]) => html`<option value=${value} ?selected=${value === chosen}>${text}</option>`,
        )}
      </select>
    </label>`;
  }

  #earlier(runs: readonly StoredRun[]): TemplateResult {
    const states = {
      begun: 'not finished',
      solved: 'waits for a threshold',
      training: 'not finished',
      done: 'done',
    };
    const actions = { begun: 'Go on', solved: 'Go on', training: 'Go on', done: 'Show' };
    return html`<section aria-labelledby="runs">
      <h2 id="runs">Runs in this browser</h2>
      <ul class="runs">
        ${runs.map(
          (run) => html`<li>
            <span>${run.out.slice(run.out.indexOf('/') + 1)}: ${runTitle(run)} <small>${states[run.state]}</small></span>
            <button type="button" class="second" @click=${() => this.#session.open(run)}>${actions[run.state]}</button>
            <button
              type="button"
              class="second"
              aria-label="Delete ${run.out.slice(run.out.indexOf('/') + 1)}"
              @click=${() => this.#session.remove(run)}
            >
              Delete
            </button>
          </li>`,
        )}
      </ul>
    </section>`;
  }
}

function explanation({ policy, method }: Setup): TemplateResult {
  const own = policy !== DEMO_POLICY;
  return html`<section aria-labelledby="what" class="what">
    <h2 id="what">What will happen</h2>
    ${
      own
        ? html`<p>Your model’s files are copied into this browser’s storage, and never sent anywhere.</p>`
        : html`<p>
            The demo is a small household assistant (1 million parameters). Its more helpful answers hold hazards more
            often, so that help and safety pull apart. Two minutes on a laptop make it safer and keep its help.
          </p>`
    }
    <ol>
      <li>${method === 'pecan' ? 'The model learns each set of pairs on its own; then it' : 'The model'} answers each prompt several times.</li>
      <li>${method === 'pecan' ? 'How much likelier each learner makes an answer is its score.' : 'Every answer is scored: how good it is, and how harmful.'}</li>
      <li>The scores tell the price of safety, λ*, and what safety and help to expect, before any training.</li>
      <li>The model is trained once, on pairs of its own answers.</li>
      <li>Prompts that it has not seen show what came of it.</li>
    </ol>
    <p class="quiet">You may close the page at any time: the run goes on from its last checkpoint.</p>
  </section>`;
}
