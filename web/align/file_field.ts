import { html, type TemplateResult } from 'lit-html';
import { type FileKind, keepFile } from './files.ts';
import type { AlignSession } from './session.ts';

/** A choice of a file: the demo's, or one of the user's. */
export class FileField {
  #session: AlignSession;
  #kind: FileKind;
  #label: string;
  #hint: string;
  #demo: string;
  #chosen: (path: string) => void;

  constructor(
    session: AlignSession,
    {
      kind,
      label,
      hint,
      demo,
      chosen,
    }: {
      kind: FileKind;
      label: string;
      hint: string;
      /** Path of the demo's. */
      demo: string;
      chosen: (path: string) => void;
    },
  ) {
    this.#session = session;
    this.#kind = kind;
    this.#label = label;
    this.#hint = hint;
    this.#demo = demo;
    this.#chosen = chosen;
  }

  view(path: string): TemplateResult {
    const take = async ({ target }: Event) => {
      const file = (target as HTMLInputElement).files?.[0];
      const kept = file && (await this.#session.guard(() => keepFile(this.#kind, file)));
      if (kept) this.#chosen(kept);
    };
    const now = path === this.#demo ? 'the demo’s' : path.slice(path.lastIndexOf('/') + 1);
    return html`<label>
      ${this.#label} <small>${this.#hint}; now: ${now}</small>
      <input id="file-${this.#kind}" type="file" accept=".jsonl,.ndjson,.json,.txt" @change=${take} />
    </label>`;
  }
}
