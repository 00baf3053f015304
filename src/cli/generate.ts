import process from 'node:process';
import { Command } from 'commander';
import { checkDecoding, parseConfig, type RunConfig, type RunOptions } from '../align/config.ts';
import type { Context } from '../align/context.ts';
import { drawIndex, mixtureOf, resamplingWeights, sampledPolicy } from '../align/decoding.ts';
import { readDual } from '../align/dual.ts';
import { encodePrompt } from '../align/encode.ts';
import { planSampling } from '../align/sample.ts';
import { loadScorers } from '../align/score.ts';
import { loadTrained } from '../align/trained.ts';
import type { Prompt } from '../data/messages.ts';
import { Run } from '../data/run.ts';
import { UserError } from '../errors.ts';
import { DiskFolder } from '../host/disk.ts';
import { runtimeName } from '../host/runtime.ts';
import { DiskSources } from '../host/sources.ts';
import {
  type Generation,
  type GenerationRow,
  type MixtureTerm,
  responseText,
  streamTokens,
} from '../model/generate.ts';
import type { Policy } from '../model/policy.ts';
import { keyOf, Random } from '../random.ts';
import { loadWasm } from '../wasm.ts';
import { addResourceOptions, addRunOptions } from './options.ts';
import { fetchProgress, terminalProgress } from './terminal.ts';

interface GenerateFlags {
  readonly prompt?: string;
  readonly adapter?: string;
  readonly run?: string;
  readonly threads?: number;
  readonly memory?: number;
  readonly greedy?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

interface ShowFlags extends GenerateFlags {
  /** Responses at once. */
  readonly batchSize: number;
}

const HELP = `
Examples
  dualign generate --policy model --prompt "Once upon a time"
  dualign generate --run runs/first --prompt "Once upon a time"
      the aligned policy of a run, with the run's settings of sampling
  dualign generate --run runs/first --decoding resample --prompt "Once upon a time"
      without training: one of K responses of the policy, drawn by r + λ*ᵀg
  dualign generate --run runs/pecan --decoding mix --prompt "Once upon a time"
      the pre-aligned policies of PeCAN, mixed at every token`;

/** Continues a prompt, on the terminal as it comes. */
export function generateCommand(): Command {
  const command = new Command('generate').description(
    'Continue a prompt with the policy, with or without its adapter, as the tokens come',
  );
  const options = addRunOptions(command, ['policy', 'generation', 'decoding']);
  return addResourceOptions(command)
    .option('--adapter <folder>', 'a PEFT adapter of the policy, such as the adapter/ of a run')
    .option('--run <folder>', 'answer as the aligned policy of this run; settings left out come from it')
    .option('--prompt <text>', 'text to continue; from stdin when left out')
    .option('--greedy', 'take the most likely token each time, in place of drawing one')
    .option('--json', 'print the responses with tokens and log-probabilities as JSON, once they are whole')
    .option('--quiet', 'no line on speed')
    .addHelpText('after', HELP)
    .action(async (flags: GenerateFlags) => {
      const run = flags.run === undefined ? undefined : await openRun(flags.run, flags.adapter);
      if (!run && options.decoding !== undefined) {
        throw new UserError('--decoding is how the policy of a run answers: give its folder with --run');
      }
      const settings = { ...(run?.manifest.config as object), ...options, responses: undefined };
      const candidates = (run?.manifest.config as RunOptions | undefined)?.responses;
      const config = parseConfig({ ...settings, responses: candidates }, 'generate');
      await generateText(config, run, options.responses ?? 1, flags);
    });
}

async function openRun(path: string, adapter: string | undefined): Promise<Run> {
  if (adapter !== undefined)
    throw new UserError('expected --run or --adapter, got both; a run has a policy of its own');
  const folder = new DiskFolder(path);
  if (!(await folder.exists('manifest.json'))) {
    throw new UserError(`${path}: expected a run folder with manifest.json, found none`);
  }
  return await Run.open(folder, runtimeName());
}

async function generateText(
  config: RunConfig,
  run: Run | undefined,
  responses: number,
  flags: GenerateFlags,
): Promise<void> {
  if (config.policy === undefined) throw new UserError('--policy is missing; see dualign generate --help');
  checkDecoding(config);
  const prompt = flags.prompt ?? (await readStdin());
  const progress = terminalProgress(flags.quiet ?? false);
  const sources = new DiskSources(config.device, {
    threads: flags.threads,
    memory: flags.memory,
    dtype: config.dtype,
    chatTemplate: config.chat_template,
    chatTemplateKwargs: config.chat_template_kwargs,
    progress: fetchProgress(progress),
  });
  try {
    const outline = await sources.outline(config.policy);
    const always = config.chat_template === 'always';
    const text = always ? [{ role: 'user' as const, content: prompt }] : prompt;
    const ids = encodePrompt(outline, text);
    const rows = Array.from({ length: responses }, (_, k): GenerationRow => ({ ids, stream: [0, k] }));
    const context = run && { run, config, sources, progress };
    const resamples = context && config.decoding === 'resample';
    const sampled = run ? sampledPolicy({ config }) : { adapter: flags.adapter !== undefined };
    const candidates = resamples ? responses * config.responses : responses;
    const { batchSize, told } = await planSampling(
      { config, sources, progress },
      [text],
      sampled,
      candidates,
    );
    if (!flags.quiet) progress.say(`memory: ${told}`);
    const policy =
      context && config.decoding === 'adapter'
        ? await loadTrained(context, run.folder)
        : await sources.policy(config.policy).load();
    if (flags.adapter !== undefined) await sources.useAdapter(policy, flags.adapter);
    const start = performance.now();
    const showing = { ...flags, batchSize };
    const made = resamples
      ? await showResampled(context, policy, text, rows, showing)
      : await show(policy, rows, config, showing, context && (await pecanMixture(context, policy)));
    const seconds = (performance.now() - start) / 1000;
    const tokens = made.reduce((sum, generation) => sum + generation.ids.length, 0);
    if (flags.json) process.stdout.write(`${JSON.stringify(asJson(policy, prompt, rows, made))}\n`);
    if (!flags.quiet) {
      process.stderr.write(
        `${tokens} tokens in ${seconds.toFixed(1)} s, ${(tokens / seconds).toFixed(1)}/s\n`,
      );
    }
  } finally {
    sources.close();
  }
}

/** The policies of PeCAN, where they answer mixed. */
async function pecanMixture(context: Context, policy: Policy): Promise<readonly MixtureTerm[] | undefined> {
  if (context.config.decoding !== 'mix') return undefined;
  return await mixtureOf(context, policy, await readDual(context));
}

/** For each row, of K responses of the policy the one drawn by r + λ*ᵀg. */
async function showResampled(
  context: Context,
  policy: Policy,
  prompt: Prompt,
  rows: readonly GenerationRow[],
  flags: ShowFlags,
): Promise<Generation[]> {
  const { config } = context;
  const K = config.responses;
  const candidates = rows.flatMap(({ ids }, answer) =>
    Array.from({ length: K }, (_, k): GenerationRow => ({ ids, stream: [answer, k] })),
  );
  const generations = await show(policy, candidates, config, { ...flags, json: true });
  const { lambda, beta } = await readDual(context);
  const { exp } = await loadWasm();
  const scoreRows = await loadScorers(context);
  const scores = await scoreRows(
    generations.map((generation, index) => ({
      prompt,
      response: responseText(policy, candidates[index].ids, generation),
      prompt_ids: candidates[index].ids,
      response_ids: generation.ids,
    })),
  );
  const drawn = rows.map((_, answer) => {
    const weights = resamplingWeights(scores.slice(answer * K, (answer + 1) * K), lambda, beta, exp);
    const random = new Random(keyOf(config.seed, 'resample answer'), answer);
    return generations[answer * K + drawIndex(weights, random)];
  });
  if (!flags.json) print(drawn.map((each, answer) => responseText(policy, rows[answer].ids, each)));
  return drawn;
}

/** Generates the rows; without --json, writes one as it comes, and several one after the other. */
async function show(
  policy: Policy,
  rows: readonly GenerationRow[],
  config: RunConfig,
  { json = false, greedy = false, batchSize }: ShowFlags,
  mixture?: readonly MixtureTerm[],
): Promise<Generation[]> {
  const generations = new Array<Generation>(rows.length);
  const parts = rows.map(() => '');
  const write = (text: string) => void process.stdout.write(text);
  const tokens = streamTokens(policy, rows, {
    maxNewTokens: config.max_new_tokens,
    temperature: greedy ? 0 : config.temperature,
    topK: config.top_k,
    topP: config.top_p,
    repetitionPenalty: config.repetition_penalty,
    stop: config.stop,
    key: keyOf(config.seed, 'generate'),
    batchSize,
    mixture,
  });
  for await (const { row, text, done } of tokens) {
    if (done) generations[row] = done;
    if (json) continue;
    if (rows.length === 1) write(done ? `${text}\n` : text);
    else parts[row] += text;
  }
  if (!json && rows.length > 1) print(parts);
  return generations;
}

/** One response alone, several with a line between them. */
function print(texts: readonly string[]): void {
  const several = texts.map((text, k) => `--- ${k + 1}\n${text}\n`).join('');
  process.stdout.write(texts.length === 1 ? `${texts[0]}\n` : several);
}

function asJson(
  policy: Policy,
  prompt: string,
  rows: readonly GenerationRow[],
  generations: readonly Generation[],
) {
  return {
    prompt,
    prompt_ids: rows[0].ids,
    responses: generations.map((generation, k) => ({
      text: responseText(policy, rows[k].ids, generation),
      finish_reason: generation.finished ? 'stop' : 'length',
      ...(generation.stop === undefined ? {} : { stop: generation.stop }),
      ids: generation.ids,
      logps: [...generation.logps],
      sampling_logps: [...generation.samplingLogps],
    })),
  };
}

async function readStdin(): Promise<string> {
  if (process.stdin.isTTY) throw new UserError('--prompt is missing; see dualign generate --help');
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
  return text.replace(/\n$/, '');
}
