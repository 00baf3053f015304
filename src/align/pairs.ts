import { keyOf, Random } from '../random.ts';
import type { PairRow, ScoreRow } from './rows.ts';

/** What each score counts in w = reward · r + safetyᵀg. */
export interface ScoreWeights {
  readonly reward: number;
  /** One per constraint: λ. */
  readonly safety: readonly number[];
}

/** How preference pairs are made of scored responses. */
export interface LabelOptions {
  readonly weights: ScoreWeights;
  /** Factor on w; 1 if left out. */
  readonly scale?: number;
  readonly seed: number;
  /** `drawn`: one Bradley–Terry draw a pair; `soft`: the more probable response is chosen, its probability the label. */
  readonly labels: 'drawn' | 'soft';
  readonly pairsPerPrompt: number;
  readonly exp: (x: number) => number;
}

/** A scored response with the tokens it was sampled as, where known. */
export interface LabelRow extends ScoreRow {
  readonly prompt_ids?: readonly number[];
  readonly response_ids?: readonly number[];
}

/**
 * Pseudo-preferences (MoCAN, step 4): for two responses of one prompt with w = r + λᵀg, P(y₁ ≻ y₀) = σ(w₁ − w₀).
 * `groups` holds each prompt's responses. Pairs of equal responses say nothing and are left out.
 */
export function makePairs(groups: readonly (readonly LabelRow[])[], options: LabelOptions): PairRow[] {
  const key = keyOf(options.seed, 'labels');
  return groups.flatMap((responses, promptIndex) => {
    const random = new Random(key, promptIndex);
    const scale = options.scale ?? 1;
    const weight = responses.map(
      ({ reward, safety }) =>
        scale *
        safety.reduce((sum, g, j) => sum + options.weights.safety[j] * g, options.weights.reward * reward),
    );
    return pairings(responses.length, options.pairsPerPrompt, random).flatMap(([i, j]) => {
      const uniform = random.uniform();
      if (responses[i].response === responses[j].response) return [];
      const probability = sigmoid(weight[i] - weight[j], options.exp);
      const firstWins = options.labels === 'drawn' ? uniform < probability : probability >= 0.5;
      const [chosen, rejected] = firstWins ? [responses[i], responses[j]] : [responses[j], responses[i]];
      const label = options.labels === 'drawn' ? 1 : Math.max(probability, 1 - probability);
      return [pairOf(chosen, rejected, label)];
    });
  });
}

function pairOf(chosen: LabelRow, rejected: LabelRow, label: number): PairRow {
  const row = { prompt: chosen.prompt, chosen: chosen.response, rejected: rejected.response, label };
  if (!chosen.prompt_ids || !chosen.response_ids || !rejected.response_ids) return row;
  return {
    ...row,
    prompt_ids: chosen.prompt_ids,
    chosen_ids: chosen.response_ids,
    rejected_ids: rejected.response_ids,
  };
}

/**
 * `count` different pairs of 0 … n − 1 (all, if there are fewer) in rounds of a shuffled tournament: within a round
 * every response plays once, so that each response appears as often as any other.
 */
export function pairings(n: number, count: number, random: Random): [number, number][] {
  const players = random.shuffle(Array.from({ length: n }, (_, index) => index));
  if (n % 2 === 1) players.push(-1);
  const size = players.length;
  const pairs: [number, number][] = [];
  for (let round = 0; round < size - 1; round++) {
    for (let seat = 0; seat < size / 2; seat++) {
      const pair: [number, number] = [players[seat], players[size - 1 - seat]];
      if (pair.includes(-1)) continue;
      if (pairs.length === count) return pairs;
      pairs.push(pair);
    }
    players.splice(1, 0, players.pop()!);
  }
  return pairs;
}

function sigmoid(x: number, exp: (x: number) => number): number {
  if (x >= 0) return 1 / (1 + exp(-x));
  const e = exp(x);
  return e / (1 + e);
}
