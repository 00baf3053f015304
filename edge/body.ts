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
    // A rejected body's client may have gone already.
    reader.cancel().catch(() => {});
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

/** A whole body as text. */
export async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}
