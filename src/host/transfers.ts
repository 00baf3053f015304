/** What hosts do alike when a server does not answer as it should: which faults may pass, and when to ask again. */
import { UserError } from '../errors.ts';

/** Requests in a row that bring nothing before a transfer is given up. */
const ATTEMPTS = 5;
/** A server that sends nothing for so long has lost the connection. */
const IDLE_MS = 60_000;
/** Longest that a busy server may have us wait for its next answer. */
const LONGEST_WAIT = 120;

/** A fault that may be gone when asked again; `seconds` is what the server asks to wait. */
export class PassingFault extends Error {
  readonly seconds: number | undefined;

  constructor(message: string, seconds?: number) {
    super(message);
    this.seconds = seconds;
  }
}

/** Throws a PassingFault for an answer of a server that is busy or broken. */
export function expectAnswer(response: Response): void {
  const { status } = response;
  if (status < 500 && status !== 429 && status !== 408) return;
  const wait = Number(response.headers.get('Retry-After') ?? Number.NaN);
  const busy = status === 429 ? ', too many requests' : '';
  throw new PassingFault(`the server answered ${status}${busy}`, wait >= 0 ? wait : undefined);
}

/**
 * Runs `transfer` until it returns, again after faults: at once as long as it brings something, which is what the change
 * of `progress()` tells, else after 1, 2, 4 and 8 seconds, or what the server asks for.
 *
 * @throws UserError at once, and any other error once nothing came of several attempts.
 */
export async function persist<T>(
  transfer: () => Promise<T>,
  progress: () => Promise<number> | number,
): Promise<T> {
  let before = await progress();
  for (let fruitless = 0; ; ) {
    try {
      return await transfer();
    } catch (error) {
      if (error instanceof UserError) throw error;
      const now = await progress();
      fruitless = now > before ? 0 : fruitless + 1;
      before = now;
      if (fruitless === ATTEMPTS) throw error;
      const asked = error instanceof PassingFault ? error.seconds : undefined;
      await pauses.wait(Math.min(asked ?? (fruitless === 0 ? 0.1 : 2 ** (fruitless - 1)), LONGEST_WAIT));
    }
  }
}

/** How waiting is done; tests do not wait. */
export const pauses = {
  wait: (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1000 * seconds)),
};

/** The parts of an answer's body as they come; fails once none has come for a minute. */
export async function* partsOf(response: Response): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const part = await withinIdleTime(reader.read());
      if (part.done) return;
      yield part.value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function withinIdleTime<T>(read: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const idle = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new PassingFault('no more bytes came for a minute')), IDLE_MS);
  });
  try {
    return await Promise.race([read, idle]);
  } finally {
    clearTimeout(timer);
  }
}
