import { describe, expect, it } from 'vitest';
import { classifierOnnx } from '../../src/model/classifier_onnx.ts';
import { parseLlamaConfig } from '../../src/model/config.ts';
import { openClassifier } from '../../src/score/session.ts';
import { loadWasm } from '../../src/wasm.ts';
import { ARCHITECTURES, randomWeights } from './architectures.ts';
import { plainLogits } from './plain.ts';

const ROWS = [
  [1, 3, 4, 6, 8, 3, 10, 5, 17, 0, 9],
  [1, 5, 9],
];
/** The head's row that is taken for the score's weight, so that the plain logits hold the score. */
const COLUMN = 5;

describe('a model with a score head as ONNX', () => {
  it.each(ARCHITECTURES)('scores as the definition says: %s', async (_, json) => {
    const config = parseLlamaConfig(json, 'config.json');
    const weights = randomWeights(json);
    const head = (weights.get('lm_head.weight') ?? weights.get('model.embed_tokens.weight'))!;
    const score = head.data.slice(COLUMN * config.hiddenSize, (COLUMN + 1) * config.hiddenSize);
    const read = async (name: string) => (name === 'score.weight' ? score : weights.get(name)!.data);
    const session = await openClassifier(
      await classifierOnnx(config, read, 16, await loadWasm()),
      'model.onnx',
    );
    const scores = await session.run(ROWS, 13, 0);
    await session.release();
    for (const [i, ids] of ROWS.entries()) {
      const expected = plainLogits(json, weights, ids)[ids.length - 1][COLUMN];
      expect(Math.abs(scores[i][0] - expected), `row ${i}`).toBeLessThan(
        1e-5 * Math.max(1, Math.abs(expected)),
      );
    }
  });
});
