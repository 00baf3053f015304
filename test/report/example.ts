import type {
  Constraint,
  CurvePoint,
  Estimate,
  Metrics,
  ReportData,
  ScoredSamples,
  TextSample,
} from '../../src/report/data.ts';
import { STORIES } from './stories.ts';

/** Uniform numbers in [0, 1), from a multiplicative congruential generator. */
function generator(seed: number): () => number {
  let state = (seed * 48271 + 11) % 2147483647;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

function normal(random: () => number): number {
  let sum = -6;
  for (let draw = 0; draw < 12; draw++) sum += random();
  return sum;
}

interface Scored {
  readonly r: number;
  readonly g: readonly number[];
}

/** Responses of a made-up reference: reward and each safety pull against each other. `[prompts][responses]`. */
function draw(random: () => number, prompts: number, responses: number, m: number): Scored[][] {
  return Array.from({ length: prompts }, () => {
    const level = normal(random) * 0.6;
    return Array.from({ length: responses }, () => {
      const drama = normal(random);
      const g = Array.from(
        { length: m },
        (_, j) => -0.9 + 0.5 * j - 0.3 * level - (0.55 - 0.35 * j) * drama + 0.75 * normal(random),
      );
      return { r: 0.2 + level + 0.9 * drama, g };
    });
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function dot(lambda: readonly number[], g: readonly number[]): number {
  return g.reduce((sum, value, j) => sum + value * lambda[j]!, 0);
}

function tilt(
  rows: readonly Scored[][],
  beta: number,
  lambda: readonly number[],
  threshold: readonly number[],
) {
  const m = threshold.length;
  const each = rows.map((row) => {
    const weights = row.map(({ r, g }) =>
      Math.exp(
        (r +
          dot(
            lambda,
            g.map((x, j) => x - threshold[j]!),
          )) /
          beta,
      ),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const p = weights.map((weight) => weight / total);
    return {
      dual: beta * Math.log(total / row.length),
      reward: p.reduce((sum, q, k) => sum + q * row[k]!.r, 0),
      safety: Array.from({ length: m }, (_, j) => p.reduce((sum, q, k) => sum + q * row[k]!.g[j]!, 0)),
      kl: p.reduce((sum, q) => sum + (q > 0 ? q * Math.log(q * row.length) : 0), 0),
      ess: 1 / p.reduce((sum, q) => sum + q * q, 0),
    };
  });
  return {
    dual: mean(each.map((row) => row.dual)),
    reward: mean(each.map((row) => row.reward)),
    safety: Array.from({ length: m }, (_, j) => mean(each.map((row) => row.safety[j]!))),
    kl: mean(each.map((row) => row.kl)),
    ess: median(each.map((row) => row.ess)),
  };
}

function solve(rows: readonly Scored[][], beta: number, threshold: readonly number[]): number[] {
  const lambda = threshold.map(() => 0);
  for (let round = 0; round < (threshold.length > 1 ? 12 : 1); round++) {
    for (const j of threshold.keys()) {
      let [low, high] = [0, 40];
      for (let step = 0; step < 40; step++) {
        lambda[j] = (low + high) / 2;
        if (tilt(rows, beta, lambda, threshold).safety[j]! < threshold[j]!) low = lambda[j]!;
        else high = lambda[j]!;
      }
      if (high < 1e-6) lambda[j] = 0;
    }
  }
  return lambda;
}

/** Mean over prompts with its bootstrap interval; `values[prompt]`. */
function estimate(random: () => number, values: readonly number[]): Estimate {
  const means = Array.from({ length: 400 }, () =>
    mean(values.map(() => values[Math.floor(random() * values.length)]!)),
  ).sort((a, b) => a - b);
  return { mean: mean(values), interval: [means[10]!, means[389]!] };
}

function flat(rows: readonly Scored[][], m: number): ScoredSamples {
  return {
    reward: rows.flat().map(({ r }) => r),
    safety: Array.from({ length: m }, (_, j) => rows.flat().map(({ g }) => g[j]!)),
  };
}

function metrics(random: () => number, steps: number, strength: number): Metrics[] {
  return Array.from({ length: steps }, (_, index) => {
    const done = index / steps;
    const margin = strength * 0.5 * done * (2 - done) + 0.12 * done * normal(random);
    const chosen = margin * 0.3 - 0.1 * done;
    return {
      step: index + 1,
      epoch: (3 * (index + 1)) / steps,
      loss: Math.max(0.05, Math.LN2 - 0.35 * margin + 0.05 * normal(random) * (0.3 + done)),
      grad_norm: 1.6 + 0.4 * normal(random),
      learning_rate: index < 10 ? (5e-4 * (index + 1)) / 10 : 2.5e-4 * (1 + Math.cos(Math.PI * done)),
      'rewards/chosen': chosen,
      'rewards/rejected': chosen - margin,
      'rewards/margins': margin,
      'rewards/accuracies': Math.min(
        1,
        Math.max(0, Math.round((0.5 + 0.5 * margin + 0.12 * normal(random)) * 16) / 16),
      ),
      'logps/chosen': -80 + 4 * normal(random),
    };
  });
}

export interface ExampleOptions {
  readonly m?: number;
  readonly margin?: number;
  readonly beta?: number;
  /** How much of the optimal tilt the aligned policy took: 1 all of it, negative the wrong way. */
  readonly strength?: number;
  readonly steps?: number;
  /** Whether the verdict is on the change or on the level. */
  readonly by?: 'margin' | 'threshold';
}

/** A made-up run whose numbers hang together as those of a real one: scores, exact dual, tilted samples, intervals. */
export function example(options: ExampleOptions = {}): ReportData {
  const { m = 1, margin = 0.25, beta = 1, strength = 0.6, steps = 120, by = 'threshold' } = options;
  const random = generator(7 + m);
  const [prompts, responses, held, drawn] = [64, 16, 48, 8];
  const rows = draw(random, prompts, responses, m);
  const reference = {
    reward: mean(rows.flat().map(({ r }) => r)),
    safety: Array.from({ length: m }, (_, j) => mean(rows.flat().map(({ g }) => g[j]!))),
  };
  const threshold = reference.safety.map((value, j) => value + margin * (1 - 0.4 * j));
  const lambda = solve(rows, beta, threshold);
  const optimum = tilt(rows, beta, lambda, threshold);
  const curve: CurvePoint[] = Array.from({ length: m === 1 ? 80 : 0 }, (_, index) => {
    const at = (6 * index * index) / 6241;
    const { dual, reward, safety, kl, ess } = tilt(rows, beta, [at], threshold);
    return { lambda: at, dual, reward, safety: safety[0]!, kl, essMedian: ess };
  });
  const before = draw(random, held, drawn, m);
  const pool = draw(random, held, 64, m).map((row, n) => {
    const level = mean(before[n]!.map(({ r }) => r)) - mean(row.map(({ r }) => r));
    return row.map(({ r, g }) => ({ r: r + level, g }));
  });
  const aligned = pool.map((row) => {
    const weights = row.map(({ r, g }) => Math.exp((strength * (r + dot(lambda, g))) / beta));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return Array.from({ length: drawn }, () => {
      let left = random() * total;
      for (const [k, weight] of weights.entries()) {
        left -= weight;
        if (left < 0) return row[k]!;
      }
      return row[0]!;
    });
  });
  const per = (scored: readonly Scored[][], of: (response: Scored) => number) =>
    scored.map((row) => mean(row.map(of)));
  const both = (of: (response: Scored) => number) => {
    const [old, now] = [per(before, of), per(aligned, of)];
    return {
      reference: estimate(random, old),
      aligned: estimate(random, now),
      gain: estimate(
        random,
        now.map((value, n) => value - old[n]!),
      ),
    };
  };
  const reward = both(({ r }) => r);
  const safety = Array.from({ length: m }, (_, j) => both(({ g }) => g[j]!));
  const divergence = per(aligned, () => optimum.kl * strength * strength).map(
    (kl) => kl * (0.7 + 0.6 * random()),
  );
  const constraints: Constraint[] = threshold.map((bound, j) => ({
    name: ['stories-cost', 'harmless', './my-politeness.ts'][j] ?? `scorer ${j}`,
    cost: j === 0,
    threshold: bound,
    margin: bound - reference.safety[j]!,
  }));
  const bounds = constraints.map(({ threshold: bound, margin: asked }, j) =>
    by === 'margin' ? asked + safety[j]!.reference.mean : bound,
  );
  const samples: TextSample[] = STORIES.map(({ prompt, reference: old, aligned: now }, n) => ({
    prompt,
    reference: { response: old, reward: before[n]![0]!.r, safety: before[n]![0]!.g },
    aligned: { response: now, reward: aligned[n]![0]!.r, safety: aligned[n]![0]!.g },
  }));
  return {
    title: 'stories260K, kept from distress',
    settings: [
      ['policy', '../shared/models/stories260K'],
      ['reward', '../shared/models/stories-reward'],
      ['cost', '../shared/models/stories-cost'],
      ['method', 'MoCAN, hard labels'],
      ['β', String(beta)],
      ['LoRA', 'r = 8, α = 16, q_proj k_proj v_proj o_proj'],
      ['learning rate', '5e-4, cosine, 100 steps of warm-up'],
      ['seed', '0'],
      ['device', 'SwiftShader Device (Subzero), WebGPU'],
      ['sha-256 of λ*', '9f2c6f0e4c1d0b0f8f0b5b7a3b6e4a1d2c3e4f5061728394a5b6c7d8e9f00112'],
      ['sha-256 of the adapter', '1b7d7b3c2f4e5d6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c'],
    ],
    constraints,
    rewardName: 'stories-reward',
    dual: {
      status: 'optimal',
      beta,
      prompts,
      responses,
      lambda,
      dual: optimum.dual,
      reference,
      expected: { reward: optimum.reward, safety: optimum.safety },
      kl: optimum.kl,
      essMedian: optimum.ess,
      lambdaIntervals: lambda.map(
        (value) => [Math.max(0, value * 0.75 - 0.05), value * 1.25 + 0.05] as const,
      ),
      warnings: [],
      curve,
    },
    training: metrics(random, steps, strength),
    evaluation: {
      prompts: held,
      responses: drawn,
      reference: { reward: reward.reference, safety: safety.map((each) => each.reference) },
      aligned: {
        reward: reward.aligned,
        safety: safety.map((each) => each.aligned),
        kl: estimate(random, divergence),
      },
      gain: { reward: reward.gain, safety: safety.map((each) => each.gain) },
      predicted: tilt(before, beta, lambda, threshold),
      bounds,
      verdicts: safety.map(({ aligned: { interval }, gain }, j) => {
        const asked = by === 'margin' ? constraints[j]!.margin : threshold[j]!;
        const [low, high] = by === 'margin' ? gain.interval : interval;
        return low >= asked ? 'met' : high < asked ? 'not met' : 'uncertain';
      }),
    },
    scores: { reference: flat(before, m), aligned: flat(aligned, m) },
    samples,
  };
}
