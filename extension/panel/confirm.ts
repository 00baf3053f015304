import { html, type TemplateResult } from 'lit-html';
import type { App } from './app.ts';

/** The button that was pressed once. */
let asked: string | undefined;

/** A button for what cannot be undone: it asks once more. */
export function confirmButton(
  app: App,
  id: string,
  text: string,
  disabled: boolean,
  act: () => void,
): TemplateResult {
  const set = (value: string | undefined) => {
    asked = value;
    app.update();
  };
  if (asked !== id) {
    return html`<button type="button" class="danger" ?disabled=${disabled} @click=${() => set(id)}>${text}</button>`;
  }
  return html`<span class="confirm" role="group" aria-label="This cannot be undone">
    <button
      type="button"
      class="danger sure"
      @click=${() => {
        set(undefined);
        act();
      }}
    >Yes, for good</button>
    <button type="button" @click=${() => set(undefined)}>Keep</button>
  </span>`;
}
