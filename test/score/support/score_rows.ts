import type { Folder } from '../../../src/data/folder.ts';
import { OnnxScorer } from '../../../src/score/onnx.ts';
import type { ScoredText } from '../../../src/score/scorer.ts';

const WORDS = 'Lily Tim dragon cried and then the happy dog ran away . They were sad , “but” safe … ☀'.split(
  ' ',
);

/** Rows of 1 to 200 words, the same on every host. */
function rows(): ScoredText[] {
  return Array.from({ length: 60 }, (_, n) => ({
    prompt: 'Once upon a time, there was',
    response: Array.from(
      { length: 1 + ((n * n * 13) % 200) },
      (_, i) => ` ${WORDS[(n * 31 + i * i * 7) % WORDS.length]}`,
    ).join(''),
  }));
}

/** Scores of fixed rows as hexadecimal bytes, so that two hosts can be compared to the last bit. */
export async function scoresInHex(folder: Folder): Promise<string> {
  const scorer = await OnnxScorer.load(folder);
  const scores = await scorer.score(rows());
  await scorer.release();
  return Array.from(new Uint8Array(scores.buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
