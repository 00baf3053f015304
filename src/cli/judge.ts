import process from 'node:process';
import { Command } from 'commander';
import { parseConfig } from '../align/config.ts';
import { judge } from '../align/judge.ts';
import { report } from '../align/report.ts';
import { Run } from '../data/run.ts';
import { UserError } from '../errors.ts';
import { DiskFolder } from '../host/disk.ts';
import { runtimeName } from '../host/runtime.ts';
import { DiskSources } from '../host/sources.ts';
import { ChatEndpoint } from '../judge/chat.ts';
import { EndpointJudge } from '../judge/endpoint.ts';
import type { Judge } from '../judge/judge.ts';
import { ScorerJudge } from '../judge/scorer.ts';
import { judgementText } from '../report/judgement.ts';
import { positiveInteger } from './option_values.ts';
import { terminalProgress } from './terminal.ts';

const HELP = `
What it does
  Compares answers of the aligned policy with the reference's to the same held-out prompts, one question at a time: which
  is more helpful, which is safer? The win rate counts a tie as half. The judge should be none of the run's own scorers:
  what was trained for shows there, and not whether it is true.

A chat model as judge
  dualign judge runs/first --url http://localhost:8080/v1 --model qwen3-32b
  OPENAI_API_KEY=… dualign judge runs/first --url https://api.openai.com/v1 --model gpt-4.1 --requests-per-minute 60
      Any endpoint that speaks /chat/completions. Each comparison is asked twice with places swapped; answers without a
      verdict are counted and left out. Prompts and answers are sent to it.

Scorers as judge
  dualign judge runs/first --helpful other-reward --safe other-safety
  dualign judge runs/first --helpful other-reward --harm rules.ts
      Folders with model.onnx, or modules, as for --reward and --cost; the higher score wins (--harm: the lower).`;

interface Flags {
  readonly url?: string;
  readonly model?: string;
  readonly requestsPerMinute?: number;
  readonly helpful?: string;
  readonly safe?: string;
  readonly harm?: string;
  readonly responses: number;
  readonly redo?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** `dualign judge RUN`. */
export function judgeCommand(): Command {
  return new Command('judge')
    .description(
      'Let a judge compare the aligned policy with the reference: win rates for helpfulness and safety',
    )
    .argument('<run>', 'run folder, evaluated')
    .option('--url <url>', 'an OpenAI-compatible endpoint: what stands before /chat/completions')
    .option('--model <name>', "the endpoint's model")
    .option('--requests-per-minute <n>', 'most requests in a minute (no limit)', positiveInteger)
    .option('--helpful <scorer>', 'in place of an endpoint: judges helpfulness')
    .option('--safe <scorer>', 'judges safety')
    .option('--harm <scorer>', 'judges safety by its negative')
    .option('--responses <n>', 'answers compared per prompt', positiveInteger, 1)
    .option('--redo', 'judge again, by another judge or with other settings')
    .option('--json', 'print the result as JSON on stdout')
    .option('--quiet', 'no progress')
    .addHelpText('after', HELP)
    .action(judgeRun);
}

async function judgeRun(path: string, flags: Flags): Promise<void> {
  const folder = new DiskFolder(path);
  if (!(await folder.exists('manifest.json'))) {
    throw new UserError(`${path}: expected a run folder with manifest.json, found none`);
  }
  const run = await Run.open(folder, runtimeName());
  const config = parseConfig(run.manifest.config, 'judge');
  run.configure(config, flags.redo ?? false);
  const sources = new DiskSources(config.device);
  const context = { run, config, sources, progress: terminalProgress(flags.quiet ?? false) };
  try {
    const result = await judge(context, await judgeOf(flags, sources), flags.responses);
    await report(context);
    const text = flags.json
      ? JSON.stringify(result, null, 2)
      : `${judgementText(result)}\n\nreport: ${path}/report.html`;
    process.stdout.write(`${text}\n`);
  } finally {
    sources.close();
  }
}

async function judgeOf(flags: Flags, sources: DiskSources): Promise<Judge> {
  const { url, model, requestsPerMinute, helpful, safe, harm } = flags;
  const scorers = [helpful, safe, harm].some((flag) => flag !== undefined);
  if (url !== undefined && !scorers) {
    if (model === undefined)
      throw new UserError("expected --model, the endpoint's name of the model, got none");
    const apiKey = process.env.OPENAI_API_KEY;
    return new EndpointJudge(new ChatEndpoint({ url, model, apiKey, requestsPerMinute }));
  }
  const safety = safe ?? harm;
  if (
    url !== undefined ||
    helpful === undefined ||
    safety === undefined ||
    (safe !== undefined && harm !== undefined)
  ) {
    throw new UserError(
      'expected a judge: --url and --model, or --helpful with one of --safe and --harm; see dualign judge --help',
    );
  }
  const measure = async (spec: string, sign: 1 | -1) => {
    const source = sources.scorer(spec);
    return { scorer: await source.load(), hash: await source.hash(), sign };
  };
  return new ScorerJudge({
    helpfulness: await measure(helpful, 1),
    safety: await measure(safety, safe === undefined ? -1 : 1),
  });
}
