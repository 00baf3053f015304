import type { Engine } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import { EngineScorer } from '../score/engine.ts';
import { FunctionScorer, type ScoreFunction } from '../score/function.ts';
import { OnnxScorer } from '../score/onnx.ts';
import type { Scorer } from '../score/scorer.ts';
import { openEngine } from './device.ts';
import { DiskFolder } from './disk.ts';
import { importModule } from './module.ts';
import { ONNX_FILES, runsOnEngine } from './scorer_folder.ts';

const MODULE = /\.[cm]?[jt]s$/;

/** A scorer as the command line names it. */
export interface ScorerSpec {
  /** A folder, or the file of a module. */
  readonly path: string;
  /** Which of several logits is the score, or which of a module's exports. */
  readonly label?: string;
}

/** Splits `folder#label`; a path that exists as it is written has no label. */
export async function parseScorerSpec(spec: string): Promise<ScorerSpec> {
  const cut = spec.lastIndexOf('#');
  if (cut < 1 || (await isThere(spec))) return { path: spec };
  return { path: spec.slice(0, cut), label: spec.slice(cut + 1) };
}

/**
 * Loads a scorer by what the command line calls it:
 * - a folder with model.onnx and tokenizer.json; `folder#label` where the model has several logits,
 * - a folder with a score head in model.safetensors, which the engine runs,
 * - a module (.ts, .js, .mts, .mjs) whose default export, or with `module#name` that export, is a `ScoreFunction`.
 */
export async function loadScorer(
  spec: string,
  engine: () => Promise<Engine> = () => openEngine('auto'),
): Promise<Scorer> {
  const { path, label } = await parseScorerSpec(spec);
  if (!(await isThere(path))) {
    throw new UserError(
      `${path}: no such scorer; expected a folder with model.onnx and tokenizer.json, or a module`,
    );
  }
  if (MODULE.test(path)) return await loadModule(path, label);
  const folder = new DiskFolder(path);
  if (await runsOnEngine(folder)) return await EngineScorer.load(await engine(), folder);
  for (const file of ONNX_FILES) {
    if (!(await folder.exists(file))) {
      throw new UserError(
        `${path}: expected a folder with model.onnx and tokenizer.json, or a module (.ts, .js); ${file} is not there`,
      );
    }
  }
  return await OnnxScorer.load(folder, label);
}

async function loadModule(path: string, label = 'default'): Promise<Scorer> {
  const { [label]: score } = await importModule(path);
  const name = label === 'default' ? path : `${path}#${label}`;
  if (typeof score !== 'function') {
    throw new UserError(
      `${path}: expected ${label === 'default' ? 'a default export' : `an export ${label}`} (prompt, responses) => number[], ` +
        `got ${score === undefined ? 'none' : typeof score}`,
    );
  }
  return new FunctionScorer(name, score as ScoreFunction);
}

async function isThere(path: string): Promise<boolean> {
  return await new DiskFolder(path).exists('.');
}
