import type { InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import { messageOf, UserError } from '../errors.ts';

/** A sequence classifier in ONNX: token ids to logits. */
export interface ClassifierSession {
  /**
   * @param rows token ids, each at most `length` long.
   * @param length tokens that every row is padded to, on the right, with `padId`.
   * @returns logits, one array a row.
   */
  run(rows: readonly (readonly number[])[], length: number, padId: number): Promise<number[][]>;
  release(): Promise<void>;
}

const INPUTS = ['input_ids', 'attention_mask'];

/**
 * Opens a model on onnxruntime-web's WebAssembly provider. It runs in one thread: with more, the provider splits its
 * sums by the number of threads, and the last bits of a score would depend on the machine.
 */
export async function openClassifier(model: Uint8Array, name: string): Promise<ClassifierSession> {
  const ort = await import('onnxruntime-web/wasm');
  ort.env.wasm.numThreads = 1;
  let session: InferenceSession;
  try {
    session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'] });
  } catch (error) {
    throw new UserError(`${name}: expected an ONNX model that can be run (${messageOf(error)})`);
  }
  checkInputs(session, name);
  const output = outputOf(session, name);
  const withTypes = session.inputNames.includes('token_type_ids');

  return {
    async run(rows, length, padId) {
      const shape = [rows.length, length];
      const ids = new BigInt64Array(rows.length * length).fill(BigInt(padId));
      const mask = new BigInt64Array(rows.length * length);
      for (const [i, row] of rows.entries()) {
        for (const [j, id] of row.entries()) {
          ids[i * length + j] = BigInt(id);
          mask[i * length + j] = 1n;
        }
      }
      const feeds: Record<string, Tensor> = {
        input_ids: new ort.Tensor('int64', ids, shape),
        attention_mask: new ort.Tensor('int64', mask, shape),
      };
      if (withTypes) feeds.token_type_ids = new ort.Tensor('int64', new BigInt64Array(ids.length), shape);
      let logits: Tensor;
      try {
        logits = (await session.run(feeds))[output] as Tensor;
      } catch (error) {
        throw new UserError(
          `${name}: failed on ${rows.length} rows of ${length} tokens (${messageOf(error)})`,
        );
      }
      return rowsOf(logits, rows.length, name);
    },
    release: () => session.release(),
  };
}

function checkInputs(session: InferenceSession, name: string): void {
  const names = session.inputNames;
  const strange = names.filter((input) => !INPUTS.includes(input) && input !== 'token_type_ids');
  const missing = INPUTS.filter((input) => !names.includes(input));
  if (strange.length > 0 || missing.length > 0) {
    throw new UserError(
      `${name}: expected the inputs input_ids and attention_mask (and at most token_type_ids), got ` +
        `${names.join(', ')}; export it as a sequence classifier`,
    );
  }
  for (const input of session.inputMetadata) {
    if (input.isTensor && input.type !== 'int64') {
      throw new UserError(`${name}: expected ${input.name} as int64, got ${input.type}`);
    }
  }
}

function outputOf(session: InferenceSession, name: string): string {
  const names = session.outputNames;
  const output = names.includes('logits') ? 'logits' : names.length === 1 ? names[0] : undefined;
  if (output === undefined) {
    throw new UserError(`${name}: expected an output named logits, got ${names.join(', ')}`);
  }
  return output;
}

function rowsOf(logits: Tensor, count: number, name: string): number[][] {
  const { dims, data, type } = logits;
  if (type !== 'float32' && type !== 'float64') {
    throw new UserError(`${name}: expected logits as float32, got ${type}; export it in full precision`);
  }
  if (dims[0] !== count || dims.length > 2) {
    throw new UserError(
      `${name}: expected logits of shape [rows] or [rows, labels], got [${dims.join(', ')}] for ${count} rows; ` +
        'export it as a sequence classifier',
    );
  }
  const width = dims[1] ?? 1;
  const values = Array.from(data as Float32Array | Float64Array);
  return Array.from({ length: count }, (_, i) => values.slice(i * width, (i + 1) * width));
}
