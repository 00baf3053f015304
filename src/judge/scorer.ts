import { scorerName } from '../align/context.ts';
import type { Scorer } from '../score/scorer.ts';
import type { Comparison, Judge, Question, Verdict } from './judge.ts';

/** A scorer and what it measures: 1 the good, -1 the harm of a response. */
export interface Measure {
  readonly scorer: Scorer;
  /** sha-256 over its files. */
  readonly hash: string;
  readonly sign: 1 | -1;
}

/** Measures as judge: the response with the higher score wins. A measure of harm judges safety by its negative. */
export class ScorerJudge implements Judge {
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
  #measures: Readonly<Record<Question, Measure>>;

  constructor(measures: Readonly<Record<Question, Measure>>) {
    this.#measures = measures;
    const { helpfulness, safety } = measures;
    this.name = `${scorerName(helpfulness.scorer.name)} and ${safety.sign < 0 ? '−' : ''}${scorerName(safety.scorer.name)}`;
    this.settings = { helpfulness: helpfulness.hash, safety: safety.hash, sign: safety.sign };
  }

  async compare(
    question: Question,
    comparisons: readonly Comparison[],
    onProgress: (done: number, total: number) => void = () => {},
  ): Promise<Verdict[]> {
    const { scorer, sign } = this.#measures[question];
    const rows = comparisons.flatMap(({ prompt, first, second }) => [
      { prompt, response: first },
      { prompt, response: second },
    ]);
    const scores = await scorer.score(rows, (done) => onProgress(Math.floor(done / 2), comparisons.length));
    return comparisons.map((_, i) => {
      const difference = sign * (scores[2 * i] - scores[2 * i + 1]);
      return difference > 0 ? 1 : difference < 0 ? 0 : 0.5;
    });
  }
}
