import { UserError } from '../errors.ts';
import { badScore, type ScoreTable, withoutAbsent } from './problem.ts';
import type { Pass, RawBlocks } from './raw_kernels.ts';
import type { Staging } from './staging.ts';
import { BLOCK } from './table.ts';

/** Passes over chunks, which are staged block by block as they come. */
export class SourcePass implements Pass {
  #staging: Staging;
  #chunks: () => AsyncIterable<ScoreTable>;
  /** Prompts of the first pass. */
  #prompts: number | undefined;

  /** Each call of `chunks` begins a pass. */
  constructor(staging: Staging, chunks: () => AsyncIterable<ScoreTable>) {
    this.#staging = staging;
    this.#chunks = chunks;
  }

  /** Throws a UserError where a score is out of bounds, or a pass is unlike the first one. */
  async each(use: (blocks: RawBlocks, first: number) => void): Promise<void> {
    const staging = this.#staging;
    staging.clear();
    let prompts = 0;
    const work = (atEnd: boolean): void => {
      const blocks = staging.ready(atEnd);
      if (blocks.count > 0) use(blocks, prompts / BLOCK);
      const bad = staging.bad(blocks);
      if (bad) throw badScore(bad.table, prompts + bad.before);
      prompts += blocks.rows;
      if (!atEnd) staging.drop(blocks);
    };
    let read = 0;
    for await (const whole of this.#chunks()) {
      const chunk = withoutAbsent(whole, read);
      read += chunk.prompts;
      for (let place = { row: 0, at: 0 }; ; work(false)) {
        place = staging.fill(chunk, place);
        if (place.row === chunk.prompts) break;
      }
    }
    work(true);
    this.#prompts ??= prompts;
    if (prompts !== this.#prompts) {
      throw new UserError(
        `scores: expected the ${this.#prompts} prompts of the first pass again, got ${prompts}; do not change the source meanwhile`,
      );
    }
  }
}
