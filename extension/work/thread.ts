/** A thread of the CPU engine. */
import { serve, type ThreadMessage } from '../../src/pool.ts';

addEventListener('message', ({ data }: MessageEvent<ThreadMessage>) => serve(data), { once: true });
