import { HttpProblem } from './problem.ts';

export interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly maxBodySeconds: number;
}

/** The chunks of a request's body; throws as soon as one limit is passed. */
export async function* chunksOf(request: Request, limits: BodyLimits): AsyncGenerator<Uint8Array> {
  const encoding = request.headers.get('content-encoding') ?? 'identity';
  if (encoding !== 'identity') {
    throw new HttpProblem(415, `expected a body without Content-Encoding, got ${encoding}`);
  }
  const { maxBodyBytes, maxBodySeconds } = limits;
  const tooLarge = (size: string) =>
    new HttpProblem(
      413,
      `expected a body of at most ${maxBodyBytes} bytes, got ${size}; send safetensors, or fewer rows`,
    );
  const announced = Number(request.headers.get('content-length') ?? 0);
  if (announced > maxBodyBytes) throw tooLarge(String(announced));
  if (!request.body) return;
  const reader = request.body.getReader();
  const deadline = startDeadline(maxBodySeconds);
  try {
    for (let size = 0; ; ) {
      const { done, value } = await Promise.race([reader.read(), deadline.passed]);
      if (done) return;
      size += value.length;
      if (size > maxBodyBytes) throw tooLarge('more');
      yield value;
    }
  } finally {
    deadline.clear();
    reader.releaseLock();
  }
}

/** A body this many times the limit is cut off. */
const MOST_DISCARDED = 8;
const MOST_DISCARDING_SECONDS = 10;

/**
 * Reads what is left of a body and drops it: a client that still sends when the connection closes sees a broken
 * connection in place of the answer.
 */
export async function discardRest(
  { body }: Request,
  { maxBodyBytes, maxBodySeconds }: BodyLimits,
): Promise<void> {
  if (!body || body.locked) return;
  const reader = body.getReader();
  const deadline = startDeadline(Math.min(maxBodySeconds, MOST_DISCARDING_SECONDS));
  try {
    for (let size = 0; size <= MOST_DISCARDED * maxBodyBytes; ) {
      const { done, value } = await Promise.race([reader.read(), deadline.passed]);
      if (done) return;
      size += value.length;
    }
    await reader.cancel();
  } catch {
    // The client is gone, or too slow to wait for.
    reader.cancel().catch(() => {});
  } finally {
    deadline.clear();
  }
}

function startDeadline(seconds: number): { passed: Promise<never>; clear: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const passed = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new HttpProblem(408, `expected the whole body within ${seconds} seconds`)),
      1000 * seconds,
    );
  });
  return { passed, clear: () => clearTimeout(timer) };
}

/** A whole body as text; throws where it is not UTF-8. */
export async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decoded = (...args: Parameters<TextDecoder['decode']>) => {
    try {
      return decoder.decode(...args);
    } catch {
      throw new HttpProblem(400, 'expected a body of JSON in UTF-8, found other bytes');
    }
  };
  let text = '';
  for await (const chunk of chunks) text += decoded(chunk, { stream: true });
  return text + decoded();
}
