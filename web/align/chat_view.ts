import { html, nothing, type TemplateResult } from 'lit-html';
import { ADAPTER } from '../../src/align/artefacts.ts';
import type { Message, Prompt } from '../../src/data/messages.ts';
import type { ChatTurn, Side } from '../../src/host/page/chat.ts';
import { callback } from '../../src/host/page/client.ts';
import { DEMO_POLICY, DEMO_QUESTIONS, demoPrompt } from './demo.ts';
import type { AlignSession } from './session.ts';

const SIDES: readonly { readonly side: Side; readonly name: string }[] = [
  { side: 'reference', name: 'As it was' },
  { side: 'aligned', name: 'Aligned' },
];

/** Without the unlikeliest tokens, which a run draws too, because it measures the whole of a policy. */
const CHAT = { top_p: 0.9 };

/** A question, and what each side answers. */
interface Exchange {
  readonly question: string;
  readonly answers: Record<Side, string>;
  /** Tokens and whether it ended by itself, once it has. */
  readonly ends: Partial<Record<Side, ChatTurn>>;
}

/** Talks with the model as it was and as it is aligned, side by side. */
export class ChatView {
  #session: AlignSession;
  #changed: () => void;
  #out: string | undefined;
  #exchanges: Exchange[] = [];
  #talking = false;
  #template = false;

  constructor(session: AlignSession, changed: () => void) {
    this.#session = session;
    this.#changed = changed;
  }

  view(): TemplateResult {
    const { out, config } = this.#session;
    if (out !== this.#out) {
      this.#out = out;
      this.#exchanges = [];
      void this.#look(config.policy ?? '');
    }
    const isDemo = config.policy === DEMO_POLICY;
    return html`<section class="chat" aria-labelledby="talk">
      <h2 id="talk">Talk with both</h2>
      <div class="columns" role="log" aria-label="Answers">
        ${this.#exchanges.map((exchange) => exchangeView(exchange))}
      </div>
      <form class="ask" @submit=${this.#submit}>
        <label for="question">
          ${isDemo ? 'Ask a household question' : this.#template ? 'Say something' : 'Write the beginning of a text'}
        </label>
        <div class="line">
          <input id="question" type="text" autocomplete="off" required />
          ${
            this.#talking
              ? html`<button type="button" id="stop-chat" class="second" @click=${() => this.#stop()}>Stop</button>`
              : html`<button type="submit" id="send">Send</button>`
          }
        </div>
        ${
          isDemo
            ? html`<div class="suggestions">
                ${DEMO_QUESTIONS.map(
                  (question) =>
                    html`<button
                      type="button"
                      class="second"
                      ?disabled=${this.#talking}
                      @click=${() => this.#ask(question)}
                    >
                      ${question}
                    </button>`,
                )}
              </div>`
            : nothing
        }
      </form>
    </section>`;
  }

  #submit = (event: Event) => {
    event.preventDefault();
    const field = (event.target as HTMLFormElement).querySelector('input')!;
    const question = field.value.trim();
    if (question === '' || this.#talking) return;
    field.value = '';
    void this.#ask(question).then((answered) => {
      if (!answered && field.value === '') field.value = question;
    });
  };

  async #look(policy: string): Promise<void> {
    const found = await this.#session.guard(() =>
      this.#session.client.call((bench) => bench.hasChatTemplate(policy)),
    );
    this.#template = found === true;
    this.#changed();
  }

  /** What a side reads: with a template all that was said, else the question alone. */
  #promptOf(side: Side, question: string): Prompt {
    if (this.#session.config.policy === DEMO_POLICY) return demoPrompt(question);
    if (!this.#template) return question;
    const before = this.#exchanges.flatMap(({ question: asked, answers }): Message[] => [
      { role: 'user', content: asked },
      { role: 'assistant', content: answers[side] },
    ]);
    return [...before, { role: 'user', content: question }];
  }

  /** Whether it was answered: a question that was not is taken back. */
  async #ask(question: string): Promise<boolean> {
    const { config, out, client } = this.#session;
    const prompts = SIDES.map(({ side }) => ({ side, prompt: this.#promptOf(side, question) }));
    const turn = this.#exchanges.length;
    this.#exchanges = [...this.#exchanges, { question, answers: { reference: '', aligned: '' }, ends: {} }];
    this.#talking = true;
    this.#changed();
    const update = (change: (exchange: Exchange) => Exchange) => {
      this.#exchanges = this.#exchanges.with(turn, change(this.#exchanges[turn]));
      this.#changed();
    };
    const heard = callback((side: Side, text: string) =>
      update(({ answers, ...rest }) => ({ ...rest, answers: { ...answers, [side]: answers[side] + text } })),
    );
    const request = { config: { ...config, ...CHAT }, adapter: `${out}/${ADAPTER}`, prompts, turn };
    const turns = (await this.#session.guard(() => client.call((bench) => bench.chat(request, heard)))) as
      | ChatTurn[]
      | undefined;
    this.#talking = false;
    if (!turns) {
      this.#exchanges = this.#exchanges.slice(0, turn);
      this.#changed();
      return false;
    }
    update((exchange) => ({
      ...exchange,
      ends: Object.fromEntries(turns.map((each) => [each.side, each])),
    }));
    return true;
  }

  async #stop(): Promise<void> {
    await this.#session.client.call((bench) => bench.stopChat());
  }
}

function exchangeView({ question, answers, ends }: Exchange): TemplateResult {
  return html`<p class="question"><span class="unseen">You: </span>${question}</p>
    ${SIDES.map(({ side, name }) => {
      const end = ends[side];
      return html`<div class="answer-of ${side}">
        <h3>${name}</h3>
        <p class="text" aria-busy=${end === undefined}>${answers[side].trimStart()}</p>
        ${end && !end.finished ? html`<small>cut after ${end.tokens} tokens</small>` : nothing}
      </div>`;
    })}`;
}
