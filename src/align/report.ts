import { sha256 } from '../data/hash.ts';
import { parseJsonl } from '../data/jsonl.ts';
import { promptText } from '../data/messages.ts';
import { VERSION } from '../generated/version.ts';
import { once } from '../once.ts';
import type {
  Comparison,
  Evaluation,
  Judgement,
  Metrics,
  ReportData,
  RoundSummary,
  ScoredSamples,
  TextSample,
} from '../report/data.ts';
import {
  COMPARISON,
  DUAL,
  EVALUATION,
  EVALUATION_ALIGNED,
  EVALUATION_REFERENCE,
  JUDGEMENT,
  METRICS,
  PAIRS,
  REPORT,
  ROUNDS_SUMMARY,
} from './artefacts.ts';
import type { RunConfig } from './config.ts';
import type { Context } from './context.ts';
import { scorerName } from './context.ts';
import { readDual, type SolvedRunDual } from './dual.ts';
import { readEvaluationRows } from './evaluate.ts';
import { type EvaluationRow, groupByPrompt } from './rows.ts';
import { readArtefact, runStage } from './stage.ts';
import { trainedSettings } from './trained.ts';

/** Prompts whose first responses the report shows before and after. */
const SHOWN_PROMPTS = 12;

/** Hashes of what was trained, by what it is. */
type Trained = () => Promise<Readonly<Record<string, string>>>;

/** MoCAN step 7: everything above on one page. Writes report.html and the results' hashes into the manifest. */
export async function report(context: Context): Promise<ReportData> {
  const { run } = context;
  const { decoding, trainer } = context.config;
  const trained = once(async () =>
    decoding === 'adapter' ? await trainedSettings(context, run.folder) : {},
  );
  const data = await gather(context, trained);
  const hashes: Record<string, string> = {};
  const files = [
    DUAL,
    METRICS,
    EVALUATION,
    EVALUATION_REFERENCE,
    EVALUATION_ALIGNED,
    JUDGEMENT,
    COMPARISON,
    ROUNDS_SUMMARY,
  ];
  for (const file of files) {
    if (await run.folder.exists(file)) hashes[file] = await run.hash(file);
  }
  await runStage(context, {
    name: 'report',
    settings: { dualign: VERSION, settings: data.settings, ...hashes },
    outputs: [REPORT],
    view: true,
    work: async () => {
      // Apart, so that a page loads what draws charts only when there is something to draw.
      const { renderReport } = await import('../report/report.ts');
      await run.folder.write(REPORT, renderReport(data));
    },
  });
  run.manifest.results = {
    lambda: await sha256(JSON.stringify(data.dual.lambda)),
    ...(decoding === 'adapter' && trainer === 'dpo' ? { pairs: await run.hash(PAIRS) } : {}),
    ...(await trained()),
  };
  await run.saveManifest();
  return data;
}

/** Puts the run's artefacts together as the report shows them. */
async function gather(context: Context, trained: Trained): Promise<ReportData> {
  const { run, config } = context;
  const dual = await readDual(context);
  const evaluation = JSON.parse(await readArtefact(context, EVALUATION, 'evaluate')) as Evaluation;
  const { reference, aligned } = await readEvaluationRows(context);
  const answers = answersOf(config);
  const logged = answers === undefined && (await run.folder.exists(METRICS));
  const metrics = logged ? await run.folder.readText(METRICS) : '';
  const training = parseJsonl(metrics, METRICS, (row) => row as Metrics);
  return {
    title: titleOf(context, dual),
    settings: settingsOf(context, training.length, await trained()),
    constraints: dual.constraints.map(({ name, cost }, j) => ({
      name,
      cost,
      threshold: dual.thresholds[j],
      margin: dual.margins[j],
    })),
    rewardName: scorerName(config.reward ?? 'reward'),
    dual: {
      ...dual,
      responses: typeof dual.responses === 'number' ? dual.responses : dual.responses[1],
      essMedian: dual.ess.median,
      // JSON has no Infinity: an unbounded end was written as null.
      lambdaIntervals: dual.lambdaIntervals.map(([low, high]) => [low, high ?? Number.POSITIVE_INFINITY]),
    },
    training,
    ...(answers === undefined ? {} : { answers }),
    evaluation,
    ...(config.rounds > 1
      ? { rounds: JSON.parse(await readArtefact(context, ROUNDS_SUMMARY, 'evaluate')) as RoundSummary[] }
      : {}),
    ...((await run.folder.exists(JUDGEMENT))
      ? { judgement: JSON.parse(await run.folder.readText(JUDGEMENT)) as Judgement }
      : {}),
    ...(await comparisonOf(context)),
    scores: { reference: scoresOf(reference), aligned: scoresOf(aligned) },
    samples: textSamples(reference, aligned),
  };
}

/** The policies side by side, where the run compares some. */
async function comparisonOf({ run, config }: Context): Promise<Pick<ReportData, 'comparison'>> {
  if (config.measures.length === 0 && config.baselines.length === 0) return {};
  if (!(await run.folder.exists(COMPARISON))) return {};
  return { comparison: JSON.parse(await run.folder.readText(COMPARISON)) as Comparison };
}

function titleOf({ config }: Context, dual: SolvedRunDual): string {
  const scorers = [config.reward ?? 'reward', ...dual.constraints.map(({ name }) => name)].map(scorerName);
  return `${scorerName(config.policy ?? 'policy')}: ${scorers[0]} within ${scorers.slice(1).join(', ')}`;
}

/** How the aligned policy answers, where nothing was trained for it. */
function answersOf({ decoding, responses }: RunConfig): string | undefined {
  if (decoding === 'adapter') return undefined;
  return decoding === 'resample'
    ? `one of ${responses} responses of the reference, drawn in proportion to exp((r + λ*ᵀg)/β)`
    : 'tokens drawn from the mixed logits of the pre-aligned policies';
}

function trainingSettings(config: RunConfig, steps: number): [string, unknown][] {
  return [
    config.trainer === 'dpo'
      ? ['labels', `${config.labels}${config.rounds > 1 ? `, found again in ${config.rounds} rounds` : ''}`]
      : ['trainer', `${config.trainer}, ${config.num_generations} completions a prompt`],
    config.full
      ? ['trained', 'all weights']
      : [
          'LoRA',
          `r ${config.lora_r}, alpha ${config.lora_alpha}, ${[config.lora_target_modules].flat().join(', ')}`,
        ],
    [
      'training',
      `${config.max_steps === undefined ? `${config.num_train_epochs} epochs, ` : ''}${steps} steps, ` +
        `learning rate ${config.learning_rate} ${config.lr_scheduler_type}`,
    ],
  ];
}

/** What identifies the run. */
function settingsOf(
  { run, config }: Context,
  steps: number,
  trained: Awaited<ReturnType<Trained>>,
): [string, string][] {
  const { manifest } = run;
  const device = manifest.device;
  const answers = answersOf(config);
  const rows: (readonly [string, unknown])[] = [
    ['policy', config.policy],
    ['prompts', config.eval_prompts ? `${config.prompts}, ${config.eval_prompts}` : config.prompts],
    ['reward', config.reward],
    ...config.constraints.map(({ scorer, cost }, j): [string, string] => [
      cost ? 'cost' : 'safety',
      `${scorer}, ${config.limits[j]?.kind} ${config.limits[j]?.value}`,
    ]),
    ['beta', config.beta],
    ['seed', config.seed],
    [
      'sampling',
      `${config.responses} responses of at most ${config.max_new_tokens} tokens, temperature ${config.temperature}`,
    ],
    ...(answers === undefined ? trainingSettings(config, steps) : [['answers', answers] as const]),
    ['device', device ? `${device.vendor} ${device.device} ${device.description}`.trim() : 'unknown'],
    ['software', `dualign ${VERSION}, ${manifest.host}`],
    ...Object.entries(trained).map(([name, hash]) => [`${name} sha-256`, hash] as const),
  ];
  return rows.map(([name, value]) => [name, String(value ?? '')]);
}

function scoresOf(rows: readonly EvaluationRow[]): ScoredSamples {
  return {
    reward: rows.map(({ reward }) => reward),
    safety: rows[0].safety.map((_, j) => rows.map(({ safety }) => safety[j])),
  };
}

function textSamples(reference: readonly EvaluationRow[], aligned: readonly EvaluationRow[]): TextSample[] {
  const after = groupByPrompt(aligned);
  return groupByPrompt(reference)
    .slice(0, SHOWN_PROMPTS)
    .map(([before], index) => ({
      prompt: promptText(before.prompt),
      reference: before,
      aligned: after[index][0],
    }));
}
