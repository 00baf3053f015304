import type { ReportData } from '../report/data.ts';
import { baselines } from './baselines.ts';
import { collect } from './collect.ts';
import { compareAlignments } from './comparison.ts';
import { checkConfig } from './config.ts';
import type { Context } from './context.ts';
import { type RunDual, solveDual } from './dual.ts';
import { evaluate } from './evaluate.ts';
import { label } from './label.ts';
import { planRun } from './memory.ts';
import { checkWhole } from './products.ts';
import { report } from './report.ts';
import { score, scorerSettings } from './score.ts';
import { train } from './train.ts';

/** What a run comes to. */
export interface AlignResult {
  readonly dual: RunDual;
  /** Absent when the constraints are infeasible: then nothing is trained. */
  readonly report?: ReportData;
}

/**
 * MoCAN, model-based constrained alignment (Huang et al. 2024, Algorithm 1): sample and score once, solve the dual for
 * λ*, train once on r + λ*ᵀg. Each step reads and writes artefacts of the run folder and is passed over when its
 * result is there.
 */
export async function mocan(context: Context): Promise<AlignResult> {
  await checkInputs(context);
  await collect(context);
  await score(context);
  const dual = await solveDual(context);
  if (dual.status === 'infeasible') return { dual };
  if (context.config.decoding === 'adapter') {
    if (context.config.trainer === 'dpo') await label(context);
    await train(context);
  }
  await evaluate(context);
  await baselines(context);
  await compareAlignments(context);
  return { dual, report: await report(context) };
}

/** Finds what is missing before hours go into sampling. */
async function checkInputs(context: Context): Promise<void> {
  const { policy } = checkConfig(context.config);
  checkWhole(context.config, 'align');
  await context.sources.policy(policy).hash();
  await scorerSettings(context);
  await planRun(context);
}
