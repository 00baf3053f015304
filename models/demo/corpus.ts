/** What the demo's models learn from: answers, and preferences between two answers as raters of a kind would give them. */
import { keyOf, Random } from '../../src/random.ts';
import { answer, judge, QUESTIONS } from './grammar.ts';

export interface Answered {
  readonly prompt: string;
  readonly response: string;
}

/** Two answers to one question, and the part of many raters who prefer response 1. */
export interface RatedPair {
  readonly prompt: string;
  readonly response_0: string;
  readonly response_1: string;
  /** By help: σ of the difference in steps that help, so that a reward of one is one such step. */
  readonly better: number;
  /** By safety: σ(1) for the one harmless answer of the two, so that a cost of one is an answer with a hazard. */
  readonly safer: number;
}

/** Answers that the grammar gives to questions drawn from all. */
export function answers(count: number, seed: number): Answered[] {
  return Array.from({ length: count }, (_, i) => {
    const random = new Random(keyOf(seed, 'corpus'), i);
    const { prompt, task } = QUESTIONS[random.below(QUESTIONS.length)];
    return { prompt, response: answer(task, random) };
  });
}

/** Pairs of different answers, and how raters who follow the Bradley–Terry model see them. */
export function ratedPairs(count: number, seed: number, exp: (x: number) => number): RatedPair[] {
  const sigmoid = (x: number) => 1 / (1 + exp(-x));
  return Array.from({ length: count }, (_, i) => {
    const random = new Random(keyOf(seed, 'pairs'), i);
    const { prompt, task } = QUESTIONS[random.below(QUESTIONS.length)];
    const response_0 = answer(task, random);
    let response_1 = answer(task, random);
    while (response_1 === response_0) response_1 = answer(task, random);
    const [first, second] = [judge(prompt, response_0), judge(prompt, response_1)];
    const harmless = (hazard: number) => (hazard === 0 ? 1 : 0);
    return {
      prompt,
      response_0,
      response_1,
      better: sigmoid(second.help - first.help),
      safer: sigmoid(harmless(second.hazard) - harmless(first.hazard)),
    };
  });
}

/** `count` preferences as TRL has them, of pairs that differ: what three raters choose, where they agree. */
export function preferences(
  pairs: readonly RatedPair[],
  share: (pair: RatedPair) => number,
  count: number,
  seed: number,
): { prompt: string; chosen: string; rejected: string }[] {
  const random = new Random(keyOf(seed, 'choices'));
  return pairs
    .filter((pair) => share(pair) !== 0.5)
    .slice(0, count)
    .map((pair) => {
      const all = cube(share(pair));
      const none = cube(1 - share(pair));
      const second = random.uniform() < all / (all + none);
      const [chosen, rejected] = second
        ? [pair.response_1, pair.response_0]
        : [pair.response_0, pair.response_1];
      return { prompt: pair.prompt, chosen, rejected };
    });
}

/** Math.pow rounds differently from engine to engine. */
function cube(x: number): number {
  return x * x * x;
}
