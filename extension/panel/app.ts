import { html, nothing, render, type TemplateResult } from 'lit-html';
import { browser } from 'wxt/browser';
import { messageOf } from '../../src/errors.ts';
import { KeeperClient, type RequestName, type Requests } from '../shared/channel.ts';
import { ensureKeeper } from '../shared/offscreen.ts';
import type { State } from '../shared/state.ts';
import { alignView } from './align.ts';
import { chatView } from './chat.ts';
import { dataView } from './data.ts';
import { judgementsView } from './judgements.ts';

const VIEWS = {
  chat: { title: 'Chat', view: chatView },
  judgements: { title: 'Judgements', view: judgementsView },
  align: { title: 'Align', view: alignView },
  data: { title: 'Data', view: dataView },
} as const;
type ViewName = keyof typeof VIEWS;

/** How long the keeper may take to answer before it is looked after, in ms. */
const PATIENCE = 3000;
/** How near the end of the chat counts as there, in pixels. */
const END = 80;

/** The panel: shows the keeper's state, and asks it for what the user wants. */
export class App {
  state: State | undefined;
  /** A sentence on what was done, or went wrong. */
  #notice: { text: string; bad: boolean } | undefined;
  #view: ViewName = 'chat';
  #root: HTMLElement;
  #client = new KeeperClient((state) => this.#show(state));

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  async start(): Promise<void> {
    this.update();
    await this.#connect();
    // The keeper is gone if the browser had to free its memory.
    setInterval(() => void this.#connect(), PATIENCE);
  }

  /** Asks the keeper; what goes wrong is told to the user. */
  async ask<N extends RequestName>(
    name: N,
    ...args: Parameters<Requests[N]>
  ): Promise<Awaited<ReturnType<Requests[N]>> | undefined> {
    this.#notice = undefined;
    try {
      return await this.#client.request(name, ...args);
    } catch (error) {
      this.say(messageOf(error), true);
      return undefined;
    }
  }

  say(text: string, bad = false): void {
    this.#notice = { text, bad };
    this.update();
  }

  update(): void {
    const main = this.#root.querySelector('main');
    const atEnd = !main || main.scrollHeight - main.scrollTop - main.clientHeight < END;
    const hadFocus = this.#root.contains(document.activeElement);
    render(this.#page(), this.#root);
    // Who works by keys goes on where the button was that has gone.
    if (hadFocus && document.activeElement === document.body) this.#focusNear();
    // The chat follows its last words, unless the user has gone back to earlier ones.
    if (this.#view === 'chat' && atEnd) this.#root.querySelector('main')!.scrollTop = 1e9;
  }

  #focusNear(): void {
    const question = this.#root.querySelector<HTMLElement>('.confirm button:last-child');
    const main = this.#root.querySelector<HTMLElement>('main');
    (question ?? main)?.focus({ preventScroll: true });
  }

  async #connect(): Promise<void> {
    try {
      await ensureKeeper();
    } catch (error) {
      this.say(messageOf(error), true);
      return;
    }
    // A keeper that has just been made answers once it listens.
    while (!this.state) {
      const state = await Promise.race([
        this.#client.request('state'),
        new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 100)),
      ]);
      if (state) this.#show(state);
    }
  }

  #show(state: State): void {
    this.state = state;
    this.update();
  }

  #page(): TemplateResult {
    const { state } = this;
    if (!state) return html`<main class="waiting"><p role="status">Starting…</p></main>`;
    return html`
      <header>
        <h1><img src="/icon/32.png" alt="" width="22" height="22" />dualign</h1>
        <p>${state.model.name}</p>
      </header>
      <nav aria-label="Parts">
        ${Object.entries(VIEWS).map(
          ([name, { title }]) => html`
            <button
              type="button"
              aria-current=${this.#view === name ? 'page' : nothing}
              @click=${() => this.go(name as ViewName)}
            >${title}${name === 'align' && state.work?.status === 'running' ? html`<span class="dot" role="img" aria-label="at work"></span>` : nothing}</button>
          `,
        )}
      </nav>
      ${this.#noticeView()}
      <main tabindex="-1">${VIEWS[this.#view].view(this, state)}</main>
    `;
  }

  /** Shows another part. */
  go(view: ViewName): void {
    this.#view = view;
    this.#notice = undefined;
    this.update();
    this.#root.querySelector('main')!.scrollTop = view === 'chat' ? 1e9 : 0;
  }

  /** Always there, so that a screen reader hears what comes into it. */
  #noticeView(): TemplateResult {
    const notice = this.#notice;
    return html`<div class="notices" role="status" aria-live="polite">
      ${
        notice
          ? html`<div class=${notice.bad ? 'notice bad' : 'notice'}>
            <p>${notice.text}</p>
            <button type="button" class="quiet" aria-label="Close this message" @click=${() => {
              this.#notice = undefined;
              this.update();
            }}>✕</button>
          </div>`
          : nothing
      }
    </div>`;
  }
}

/** Whether the browser lets the extension reach the hub, asking the user if need be: call it on a click. */
export async function allowHub(origins: readonly string[]): Promise<boolean> {
  return await browser.permissions.request({ origins: [...origins] });
}
