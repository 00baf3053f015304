/** How a run tells what it is doing; the command line and pages each show it their way. */
export interface Progress {
  /** A stage begins, or is passed over because its result is there. */
  stage(name: string, state: 'started' | 'kept' | 'given', note?: string): void;
  /** Work within a stage: `done` of `total` units. */
  advance(done: number, total: number, unit: string, note?: string): void;
  /** A sentence for the user, with what may be done about it (`Advice`). */
  say(text: string, mend?: readonly string[]): void;
}

/** Progress that nobody watches. */
export const silent: Progress = { stage: () => {}, advance: () => {}, say: () => {} };
