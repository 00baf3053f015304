/**
 * An error the user can mend: bad input, a missing file, an impossible request. The command prints its message alone,
 * without a stack, and exits with `exitCode`. The message says what was expected, what came, and how to mend it.
 */
export class UserError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 2) {
    super(message);
    this.name = 'UserError';
    this.exitCode = exitCode;
  }
}

/** `error` as one line of text. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
