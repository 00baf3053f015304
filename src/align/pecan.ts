import { baselines } from './baselines.ts';
import { collect } from './collect.ts';
import { compareAlignments } from './comparison.ts';
import { checkConfig } from './config.ts';
import type { Context } from './context.ts';
import { solveDual } from './dual.ts';
import { evaluate } from './evaluate.ts';
import { label } from './label.ts';
import { planRun } from './memory.ts';
import type { AlignResult } from './mocan.ts';
import { prealign, prealignedSets } from './prealign.ts';
import { checkWhole } from './products.ts';
import { report } from './report.ts';
import { score } from './score.ts';
import { train } from './train.ts';

/**
 * PeCAN, preference-based constrained alignment (Huang et al. 2024, Algorithm 2): as MoCAN, without reward and safety
 * models. A policy learns each set of preferences, and how much likelier it makes a response than the reference does
 * is the score. Each step reads and writes artefacts of the run folder and is passed over when its result is there.
 */
export async function pecan(context: Context): Promise<AlignResult> {
  await checkInputs(context);
  await prealign(context);
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

/** Finds what is missing before hours go into training. */
async function checkInputs(context: Context): Promise<void> {
  const { config, sources } = context;
  const { policy } = checkConfig(config);
  checkWhole(config, 'align');
  await sources.policy(policy).hash();
  for (const { path, judgement } of prealignedSets(config)) await sources.preferences(path, judgement);
  await planRun(context);
}
