import { toJsonl } from '../data/jsonl.ts';
import type { Run } from '../data/run.ts';
import { UserError } from '../errors.ts';
import { loadWasm } from '../wasm.ts';
import { PAIRS, SAMPLES, SCORES } from './artefacts.ts';
import type { Context } from './context.ts';
import { readDual } from './dual.ts';
import { type LabelRow, makePairs, type ScoreWeights } from './pairs.ts';
import { betaPre } from './prealign.ts';
import { groupByPrompt, pairForFile, parseSampleRows, parseScoreRows } from './rows.ts';
import { readArtefact, runStage } from './stage.ts';

/** MoCAN step 4: pseudo-preferences by r + λ*ᵀg. Writes pairs.jsonl. */
export async function label(context: Context): Promise<void> {
  const { lambda } = await readDual(context);
  await labelPairs(context, { name: 'label', path: PAIRS, weights: { reward: 1, safety: lambda } });
}

/** Pairs to make: by the weighted sum of the scores, into a file of the run folder. */
export interface LabelTarget {
  /** Of the stage. */
  readonly name: string;
  readonly path: string;
  readonly weights: ScoreWeights;
  /** Runs, or parts of one, whose scored responses the pairs are made of; each pair's are of one. The context's if left out. */
  readonly of?: readonly Run[];
}

/** Makes preference pairs of the scored responses. */
export async function labelPairs(context: Context, target: LabelTarget): Promise<void> {
  const { run, config } = context;
  const { name, path, weights, of = [run] } = target;
  const { reward, safety } = weights;
  const unscaled = config.method === 'pecan' && config.pecan_labels === 'unscaled';
  const scale = unscaled ? 1 / betaPre(config) : 1;
  const parts = await Promise.all(
    of.map(async (from) => groupByPrompt(await readScored({ ...context, run: from }, safety.length))),
  );
  const longest = Math.max(...parts.flat().map((group) => group.length));
  const pairsPerPrompt = config.pairs_per_prompt ?? (longest * (longest - 1)) / 2;
  const hashes = await Promise.all(of.map((from) => from.hash(SCORES)));
  await runStage(context, {
    name,
    settings: {
      scores: hashes.length === 1 ? hashes[0] : hashes,
      lambda: safety,
      ...(reward === 1 ? {} : { reward }),
      seed: config.seed,
      labels: config.labels,
      pairs_per_prompt: pairsPerPrompt,
      ...(scale === 1 ? {} : { scale }),
    },
    outputs: [path],
    note: `${pairsPerPrompt} ${config.labels} pairs a prompt${of.length > 1 ? `, of ${of.length} rounds each` : ''}`,
    work: async () => {
      const { exp } = await loadWasm();
      const options = { weights, seed: config.seed, labels: config.labels, scale, pairsPerPrompt, exp };
      const pairs = parts.flatMap((groups) => makePairs(groups, options));
      if (pairs.length === 0) {
        throw new UserError(`${SCORES}: expected prompts with different responses, found none`, 2, [
          'raise --responses',
          'raise --temperature',
        ]);
      }
      await run.folder.write(path, toJsonl(pairs.map(pairForFile)));
    },
  });
}

/** Scored responses, with the tokens they were sampled as when this run sampled them. */
async function readScored(context: Context, constraints: number): Promise<LabelRow[]> {
  const scores = parseScoreRows(await readArtefact(context, SCORES, 'score'), SCORES, constraints);
  if (await context.run.isGiven('score', SCORES)) return scores;
  const samples = parseSampleRows(await readArtefact(context, SAMPLES, 'collect'), SAMPLES);
  return scores.map((row, index) => ({
    ...row,
    prompt_ids: samples[index].prompt_ids,
    response_ids: samples[index].response_ids,
  }));
}
