import type { Folder } from '../data/folder.ts';
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import { isClassifier, loadRewardModel, type RewardModel } from '../model/reward_model.ts';
import { sequenceScores } from '../model/score_head.ts';
import { loadTextEncoder, readOptional, type ScoredTextEncoder } from './encode.ts';
import type { ScoredText, Scorer } from './scorer.ts';

/** A reward or safety model run by an engine: a folder of transformers' …ForSequenceClassification with one label. */
export class EngineScorer implements Scorer {
  readonly name: string;
  #model: RewardModel;
  #text: ScoredTextEncoder;
  #truncated = 0;

  private constructor(model: RewardModel, text: ScoredTextEncoder) {
    this.name = model.name;
    this.#model = model;
    this.#text = text;
  }

  static async load(engine: Engine, folder: Folder): Promise<EngineScorer> {
    const config = await readOptional(folder, 'config.json');
    if (!isClassifier(config)) {
      throw new UserError(
        `${folder.name}: expected a model with a score head (…ForSequenceClassification), got ` +
          `${JSON.stringify(config.architectures) ?? 'no architectures in config.json'}`,
      );
    }
    const text = await loadTextEncoder(folder, config);
    return new EngineScorer(await loadRewardModel(engine, folder), text);
  }

  get truncated(): number {
    return this.#truncated;
  }

  async score(
    rows: readonly ScoredText[],
    onProgress?: (done: number, total: number) => void,
  ): Promise<Float64Array> {
    const encoded = rows.map((row) => this.#text.encode(row));
    this.#truncated += encoded.filter(({ truncated }) => truncated).length;
    const scores = await sequenceScores(
      this.#model,
      encoded.map(({ ids }) => ids),
      onProgress,
    );
    const strange = scores.findIndex((score) => !Number.isFinite(score));
    if (strange >= 0) {
      throw new UserError(
        `${this.name}: gave ${scores[strange]} for row ${strange + 1}; expected a finite score`,
      );
    }
    return scores;
  }
}
