import { UserError } from '../errors.ts';
import { DiskFolder } from '../host/disk.ts';
import { importModule } from '../host/module.ts';
import { FunctionScorer, type ScoreFunction } from './function.ts';
import { OnnxScorer } from './onnx.ts';
import type { Scorer } from './scorer.ts';

const MODULE = /\.[cm]?[jt]s$/;

/**
 * Loads a scorer by what the command line calls it:
 * - a folder with model.onnx and tokenizer.json; `folder#label` where the model has several logits,
 * - a module (.ts, .js, .mts, .mjs) whose default export is a `ScoreFunction`.
 */
export async function loadScorer(spec: string): Promise<Scorer> {
  const cut = spec.lastIndexOf('#');
  const labelled = cut > 0 && !(await isThere(spec));
  const path = labelled ? spec.slice(0, cut) : spec;
  const label = labelled ? spec.slice(cut + 1) : undefined;

  if (!(await isThere(path))) {
    throw new UserError(
      `${path}: no such scorer; expected a folder with model.onnx and tokenizer.json, or a module`,
    );
  }
  if (MODULE.test(path)) return await loadModule(path);
  const folder = new DiskFolder(path);
  for (const file of ['model.onnx', 'tokenizer.json']) {
    if (!(await folder.exists(file))) {
      throw new UserError(
        `${path}: expected a folder with model.onnx and tokenizer.json, or a module (.ts, .js); ${file} is not there`,
      );
    }
  }
  return await OnnxScorer.load(folder, label);
}

async function loadModule(path: string): Promise<Scorer> {
  const { default: score } = await importModule(path);
  if (typeof score !== 'function') {
    throw new UserError(
      `${path}: expected a default export (prompt, responses) => number[], got ${score === undefined ? 'none' : typeof score}`,
    );
  }
  return new FunctionScorer(path, score as ScoreFunction);
}

async function isThere(path: string): Promise<boolean> {
  return await new DiskFolder(path).exists('.');
}
