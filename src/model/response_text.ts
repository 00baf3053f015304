import type { Tokenizer } from './tokenizer.ts';

/** Tokens decoded with each new one: a text's start is decoded in a way of its own, so there is always some before. */
const CONTEXT = 32;
/** A character of which bytes are missing, as decoders show it. */
const INCOMPLETE = '\ufffd';

/**
 * The text of a response, token by token. A token can hold part of a character: its text comes with the token that
 * completes it. Put together, the parts are what `Tokenizer.decodeCompletion` gives for all the tokens.
 */
export class TextStream {
  #tokenizer: Tokenizer;
  #ids: number[];
  /** Text of the context and of the tokens whose text was given. */
  #known: string;

  constructor(tokenizer: Tokenizer, promptIds: readonly number[]) {
    this.#tokenizer = tokenizer;
    this.#ids = promptIds.slice(-CONTEXT);
    this.#known = tokenizer.decode(this.#ids);
  }

  /** The text that is certain now that `id` has come; may be empty. */
  push(id: number): string {
    this.#ids.push(id);
    const whole = this.#tokenizer.decode(this.#ids);
    return whole.endsWith(INCOMPLETE) ? '' : this.#take(whole);
  }

  /** What is left at the end: a character that never became whole. */
  end(): string {
    return this.#take(this.#tokenizer.decode(this.#ids));
  }

  #take(whole: string): string {
    let shared = this.#known.length;
    while (!whole.startsWith(this.#known.slice(0, shared))) shared--;
    if (this.#ids.length > 2 * CONTEXT) {
      this.#ids = this.#ids.slice(-CONTEXT);
      this.#known = this.#tokenizer.decode(this.#ids);
    } else this.#known = whole;
    return whole.slice(shared);
  }
}

/** Looks for the first of several strings in a text that comes in parts, and holds back what may be its beginning. */
export class StopScanner {
  #stops: readonly string[];
  #held = '';

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** The text before a stop string and that string, or the text that cannot belong to one. */
  push(text: string): { readonly text: string; readonly stop?: string } {
    const whole = this.#held + text;
    let found: { at: number; stop: string } | undefined;
    for (const stop of this.#stops) {
      const at = whole.indexOf(stop);
      if (at >= 0 && (!found || at < found.at)) found = { at, stop };
    }
    if (found) return { text: whole.slice(0, found.at), stop: found.stop };
    let held = Math.min(whole.length, Math.max(0, ...this.#stops.map((stop) => stop.length - 1)));
    while (held > 0 && !this.#stops.some((stop) => stop.startsWith(whole.slice(-held)))) held--;
    this.#held = whole.slice(whole.length - held);
    return { text: whole.slice(0, whole.length - held) };
  }

  /** What was held back and came to nothing. */
  end(): string {
    return this.#held;
  }
}

/** Both together: the text of a response as it may be shown, and the stop string that ends it. */
export class ResponseReader {
  #text: TextStream;
  #scanner: StopScanner;

  constructor(tokenizer: Tokenizer, promptIds: readonly number[], stops: readonly string[]) {
    this.#text = new TextStream(tokenizer, promptIds);
    this.#scanner = new StopScanner(stops);
  }

  push(id: number): { readonly text: string; readonly stop?: string } {
    return this.#scanner.push(this.#text.push(id));
  }

  end(): string {
    return this.#scanner.push(this.#text.end()).text + this.#scanner.end();
  }
}
