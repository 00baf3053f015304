/** Exit code of a verdict: the constraints cannot be met, or only at the edge of what the responses can reach. */
export const INFEASIBLE = 3;

/** Options of every command that works on a run folder. */
export interface CommonOptions {
  readonly out: string;
  readonly redo?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** Threads of the CPU: not a setting of the run, because no result depends on it. */
  readonly threads?: number;
  /** Bytes of the device's memory to keep below. */
  readonly memory?: number;
}
