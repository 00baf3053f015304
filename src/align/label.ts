import { toJsonl } from '../data/jsonl.ts';
import { UserError } from '../errors.ts';
import { loadWasm } from '../wasm.ts';
import { PAIRS, SAMPLES, SCORES } from './artefacts.ts';
import type { Context } from './context.ts';
import { readDual } from './dual.ts';
import { type LabelRow, makePairs } from './pairs.ts';
import { betaPre } from './prealign.ts';
import { groupByPrompt, pairForFile, parseSampleRows, parseScoreRows } from './rows.ts';
import { readArtefact, runStage } from './stage.ts';

/** MoCAN step 4: pseudo-preferences by r + λ*ᵀg. Writes pairs.jsonl. */
export async function label(context: Context): Promise<void> {
  const { run, config } = context;
  const { lambda } = await readDual(context);
  const unscaled = config.method === 'pecan' && config.pecan_labels === 'unscaled';
  const scale = unscaled ? 1 / betaPre(config) : 1;
  const groups = groupByPrompt(await readScored(context, lambda.length));
  const longest = Math.max(...groups.map((group) => group.length));
  const pairsPerPrompt = config.pairs_per_prompt ?? (longest * (longest - 1)) / 2;
  await runStage(context, {
    name: 'label',
    settings: {
      scores: await run.hash(SCORES),
      lambda,
      seed: config.seed,
      labels: config.labels,
      pairs_per_prompt: pairsPerPrompt,
      ...(scale === 1 ? {} : { scale }),
    },
    outputs: [PAIRS],
    note: `${pairsPerPrompt} ${config.labels} pairs a prompt`,
    work: async () => {
      const { exp } = await loadWasm();
      const pairs = makePairs(groups, {
        lambda,
        seed: config.seed,
        labels: config.labels,
        scale,
        pairsPerPrompt,
        exp,
      });
      if (pairs.length === 0) {
        throw new UserError(
          `${SCORES}: expected prompts with different responses, found none; raise --responses or --temperature`,
        );
      }
      await run.folder.write(PAIRS, toJsonl(pairs.map(pairForFile)));
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
