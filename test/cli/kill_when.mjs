/** Imported before the command: kills the process as soon as it has written a file whose path ends with KILL_WHEN. */
import { afterWrites } from './after_writes.mjs';

afterWrites(process.env.KILL_WHEN, () => process.kill(process.pid, 'SIGKILL'));
