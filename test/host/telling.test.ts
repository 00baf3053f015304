import * as Comlink from 'comlink';
import { expect, test } from 'vitest';
import { telling } from '../../src/host/page/telling.ts';

/** Counts to three for a listener beyond a port, and answers over another, as a worker of a page does. */
class Counter {
  async count(tell: (number: number) => void, fails: boolean): Promise<string> {
    return await telling(tell, async (told) => {
      for (let number = 1; number <= 3; number++) told(number);
      if (fails) throw new Error('cannot count to four');
      return 'counted';
    });
  }
}

test.each([false, true])('all is heard before the work ends (fails: %s)', async (fails) => {
  const { port1, port2 } = new MessageChannel();
  try {
    Comlink.expose(new Counter(), port1);
    const counter = Comlink.wrap<Counter>(port2);
    const heard: number[] = [];
    const slow = Comlink.proxy(async (number: number) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      heard.push(number);
    });
    const result = await counter.count(slow, fails).catch(({ message }: Error) => message);
    expect(result).toBe(fails ? 'cannot count to four' : 'counted');
    expect(heard).toEqual([1, 2, 3]);
  } finally {
    port1.close();
    port2.close();
  }
});
