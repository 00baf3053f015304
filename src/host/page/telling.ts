/**
 * Does work that tells a listener on the other side of a Comlink port, and ends only when the listener has heard all of
 * it: what is told goes by a port of its own, which the work's result would overtake.
 */
export async function telling<A extends readonly unknown[], R>(
  listener: (...told: A) => unknown,
  work: (tell: (...told: A) => void) => Promise<R>,
): Promise<R> {
  // A port keeps order: who has answered the last call has heard those before.
  let last: unknown;
  const tell = (...told: A) => {
    last = listener(...told);
  };
  try {
    return await work(tell);
  } finally {
    await last;
  }
}
