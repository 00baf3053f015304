import type { Panel } from '../report/charts/picture.ts';
import type { Html } from '../report/html.ts';

/** A finished experiment, as pages, terminals and programs show it. */
export interface Outcome {
  readonly title: string;
  /** What was done, in a sentence or two. */
  readonly note: string;
  readonly panels: readonly Panel[];
  /** Panels side by side in a picture; 2 if left out. */
  readonly columns?: number;
  readonly tables: readonly Html[];
  /** For the terminal: rows of cells, the first the header. */
  readonly text: readonly (readonly string[])[];
  /** All numbers, as JSON. */
  readonly data: unknown;
}
