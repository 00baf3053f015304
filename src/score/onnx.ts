import type { Folder } from '../data/folder.ts';
import { UserError } from '../errors.ts';
import { composeBatches } from './batches.ts';
import { type Encoder, loadTextEncoder, readOptional, type ScoredTextEncoder } from './encode.ts';
import type { ScoredText, Scorer } from './scorer.ts';
import { type ClassifierSession, openClassifier } from './session.ts';

/** Rows of 1 to 16 tokens are padded to 16, of 17 to 32 to 32, and so on: few shapes, little waste. */
const LENGTH_STEP = 16;
/** Relative change of a logit under padding beyond which a model is taken not to heed its attention mask. */
const PADDING_TOLERANCE = 1e-3;
const PROBE = 'Once upon a time, there was a little girl named Lily.';

/**
 * A reward or safety model as a sequence classifier in ONNX: a folder with model.onnx and tokenizer.json, and where
 * they exist tokenizer_config.json and config.json. It reads prompt and response as one text, a conversation as
 * its chat template writes it; its score is the logit.
 */
export class OnnxScorer implements Scorer {
  readonly name: string;
  #session: ClassifierSession;
  #text: ScoredTextEncoder;
  #column: number;
  #step: number;
  #truncated = 0;

  private constructor(
    name: string,
    session: ClassifierSession,
    text: ScoredTextEncoder,
    column: number,
    step: number,
  ) {
    this.name = name;
    this.#session = session;
    this.#text = text;
    this.#column = column;
    this.#step = step;
  }

  /** @param label name or number of the logit to score by; needed when the model has several. */
  static async load(folder: Folder, label?: string): Promise<OnnxScorer> {
    const config = await readOptional(folder, 'config.json');
    const text = await loadTextEncoder(folder, config);
    const { encoder } = text;
    const session = await openClassifier(await folder.read('model.onnx'), `${folder.name}/model.onnx`);
    const { ids } = encoder.encode(PROBE);
    const [plain] = await session.run([ids], ids.length, encoder.padId);
    const column = columnOf(label, plain!.length, labelsOf(config), folder.name);
    const step = (await heedsMask(session, ids, plain![column]!, column, encoder)) ? LENGTH_STEP : 1;
    return new OnnxScorer(
      label === undefined ? folder.name : `${folder.name}#${label}`,
      session,
      text,
      column,
      step,
    );
  }

  get truncated(): number {
    return this.#truncated;
  }

  async score(
    rows: readonly ScoredText[],
    onProgress?: (done: number, total: number) => void,
  ): Promise<Float64Array> {
    const encoded = rows.map((row) => this.#text.encode(row));
    this.#truncated += encoded.filter((row) => row.truncated).length;
    return await this.scoreIds(
      encoded.map((row) => row.ids),
      onProgress,
    );
  }

  /** Scores of token ids, special tokens included, each row within the model's context. */
  async scoreIds(
    ids: readonly (readonly number[])[],
    onProgress?: (done: number, total: number) => void,
  ): Promise<Float64Array> {
    const scores = new Float64Array(ids.length);
    const { limit, padId } = this.#text.encoder;
    const lengths = ids.map((row) => row.length);
    let done = 0;
    for (const batch of composeBatches(lengths, this.#step, limit)) {
      const logits = await this.#session.run(
        batch.rows.map((row) => ids[row]!),
        batch.length,
        padId,
      );
      for (const [i, row] of batch.rows.entries()) {
        const score = logits[i]![this.#column]!;
        if (!Number.isFinite(score)) {
          throw new UserError(`${this.name}: gave ${score} for row ${row + 1}; expected a finite score`);
        }
        scores[row] = score;
      }
      done += batch.rows.length;
      onProgress?.(done, ids.length);
    }
    return scores;
  }

  /** Frees the model's memory; the scorer is of no use afterwards. */
  async release(): Promise<void> {
    await this.#session.release();
  }
}

/**
 * True when padding leaves a logit as it is. A model exported without a padding token may read its score at the last
 * position, whatever the mask says; its rows are then batched with rows of the same length only.
 */
async function heedsMask(
  session: ClassifierSession,
  ids: readonly number[],
  plain: number,
  column: number,
  encoder: Encoder,
): Promise<boolean> {
  const length = Math.min(ids.length + LENGTH_STEP, encoder.limit);
  const padded = (await session.run([ids], length, encoder.padId))[0]![column]!;
  return Math.abs(padded - plain) <= PADDING_TOLERANCE * (1 + Math.abs(plain));
}

function labelsOf(config: Record<string, unknown>): string[] {
  const names = config.id2label as Record<string, string> | undefined;
  return Object.keys(names ?? {})
    .sort((a, b) => Number(a) - Number(b))
    .map((id) => String(names![id]));
}

/** The column that `label` names. */
function columnOf(label: string | undefined, width: number, labels: readonly string[], name: string): number {
  if (label === undefined && width === 1) return 0;
  const named = labels.length === width ? labels : Array.from({ length: width }, (_, i) => String(i));
  const index = label === undefined ? -1 : named.indexOf(label);
  if (index >= 0) return index;
  if (label !== undefined && /^\d+$/.test(label) && Number(label) < width) return Number(label);
  const choice = `one of ${named.join(', ')}`;
  throw new UserError(
    label === undefined
      ? `${name}: gives ${width} logits a row; say which is the score, as ${name}#LABEL with ${choice}`
      : `${name}: expected a label that is ${choice}, got "${label}"`,
  );
}
