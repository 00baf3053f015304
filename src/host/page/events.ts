import type { RunOptions } from '../../align/config.ts';
import type { RunDual } from '../../align/dual.ts';
import type { DeviceInfo } from '../../engine/engine.ts';
import type { Metrics } from '../../report/data.ts';

/** A run to make, or to go on with. */
export interface RunRequest {
  /** Folder in the storage of the page's origin. */
  readonly out: string;
  /** Settings as in config.json of a run; inputs are named as `folderOf` reads them. Those of the run before if left out. */
  readonly config?: RunOptions;
  /** Replace finished stages whose settings changed. */
  readonly redo?: boolean;
  /** Ends with λ*, so that a threshold can be chosen before anything is trained. */
  readonly until?: 'dual';
  /** Of the CPU engine; no result depends on it. */
  readonly threads?: number;
}

/** What a run tells while it is under way. */
export type RunEvent =
  | {
      readonly kind: 'stage';
      readonly name: string;
      readonly state: 'started' | 'kept' | 'given';
      readonly note?: string;
    }
  | {
      readonly kind: 'advance';
      readonly done: number;
      readonly total: number;
      readonly unit: string;
      readonly note?: string;
    }
  | { readonly kind: 'say'; readonly text: string }
  /** Lines of metrics of the adapter in this folder; `all` of them, or those that are new. */
  | {
      readonly kind: 'metrics';
      readonly folder: string;
      readonly rows: readonly Metrics[];
      readonly all: boolean;
    }
  | { readonly kind: 'device'; readonly info: DeviceInfo }
  /** The run stands still, and all it has made is in its folder. */
  | { readonly kind: 'paused' };

export interface RunOutcome {
  readonly dual: RunDual;
  /** Whether there is an adapter with its evaluation and report: not so where thresholds are out of reach. */
  readonly finished: boolean;
}

export type RunListener = (event: RunEvent) => void;
