/**
 * What is the matter, and ways to mend it, each in the imperative. Settings are named as the command's options, and
 * stand in `what` only where it is about their values; a page says both in its own words (`host/page/wording.ts`).
 */
export interface Advice {
  readonly what: string;
  readonly mend: readonly string[];
}

/** As one text: "what; do this, or that". */
export function adviceText({ what, mend }: Advice): string {
  return mend.length === 0 ? what : `${what.replace(/\.$/, '')}; ${mend.join(', or ')}`;
}

/**
 * An error the user can mend: bad input, a missing file, an impossible request. The command prints its message alone,
 * without a stack, and exits with `exitCode`. The message says what was expected, what came, and how to mend it.
 */
export class UserError extends Error implements Advice {
  readonly what: string;
  readonly mend: readonly string[];
  readonly exitCode: number;

  /** `mend` holds what names options of the command; other ways to mend it may stand in `what`. */
  constructor(what: string, exitCode = 2, mend: readonly string[] = []) {
    super(adviceText({ what, mend }));
    this.name = 'UserError';
    this.what = what;
    this.mend = mend;
    this.exitCode = exitCode;
  }
}

/** `error` as one line of text. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
