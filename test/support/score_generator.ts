/** The generator of shared/golden/dual (shared/README.md), from its description. */

function lowbias32(value: number): number {
  let x = value >>> 0;
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  x ^= x >>> 16;
  return x >>> 0;
}

function streams(seed: number): (stream: number, index: number) => number {
  return (stream, index) => {
    const key = lowbias32((Math.imul(seed, 0x9e3779b9) + Math.imul(stream, 0x85ebca6b) + 1) >>> 0);
    let sum = 0;
    for (let j = 0; j < 6; j++) {
      const word = lowbias32((lowbias32(6 * index + j) ^ key) >>> 0);
      sum += (word & 0xffff) + (word >>> 16);
    }
    return (sum - 12 * 32767.5) / 65536;
  };
}

const round = (value: number) => Math.floor(1024 * value + 0.5) / 1024;

export interface GeneratedScores {
  reward: Float64Array;
  safety: Float64Array;
  prompts: number;
  responses: number;
}

/** Scores of N prompts × K responses with m safety scores. */
export function generateScores(seed: number, N: number, K: number, m: number): GeneratedScores {
  const z = streams(seed);
  const reward = new Float64Array(N * K);
  const safety = new Float64Array(m * N * K);
  for (let n = 0; n < N; n++) {
    const u = z(1, n);
    const v = Array.from({ length: m }, (_, j) => z(10 + 2 * j, n));
    for (let k = 0; k < K; k++) {
      const at = n * K + k;
      const y = z(2, at);
      reward[at] = round(-11.7 + 4 * u + 3.33 * y);
      for (let j = 0; j < m; j++) {
        const w = z(11 + 2 * j, at);
        safety[j * N * K + at] = round(
          -1.61 +
            3 * (-0.4 * u + Math.sqrt(1 - 0.16) * v[j]) +
            2.5 * (-0.06 * y + Math.sqrt(1 - 0.0036) * w) -
            0.316 * (y * y - 1),
        );
      }
    }
  }
  return { reward, safety, prompts: N, responses: K };
}
