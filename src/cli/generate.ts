import process from 'node:process';
import { Command } from 'commander';
import { parseConfig, type RunConfig } from '../align/config.ts';
import { encodePrompt } from '../align/encode.ts';
import { UserError } from '../errors.ts';
import { DiskSources } from '../host/sources.ts';
import { type Generation, type GenerationRow, responseText, streamTokens } from '../model/generate.ts';
import type { Policy } from '../model/policy.ts';
import { keyOf } from '../random.ts';
import { addRunOptions, positiveInteger } from './options.ts';
import { fetchProgress, terminalProgress } from './terminal.ts';

interface GenerateFlags {
  readonly prompt?: string;
  readonly adapter?: string;
  readonly threads?: number;
  readonly greedy?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Continues a prompt, on the terminal as it comes. */
export function generateCommand(): Command {
  const command = new Command('generate').description(
    'Continue a prompt with the policy, with or without its adapter, as the tokens come.',
  );
  const options = addRunOptions(command, ['policy', 'generation']);
  return command
    .option('--adapter <folder>', 'a PEFT adapter of the policy, such as the adapter/ of a run')
    .option('--prompt <text>', 'text to continue; from stdin when left out')
    .option('--greedy', 'take the most likely token each time, in place of drawing one')
    .option('--threads <n>', 'threads of the cpu device (all cores, at most 8)', positiveInteger)
    .option('--json', 'print the responses with tokens and log-probabilities as JSON, once they are whole')
    .option('--quiet', 'no line on speed')
    .action(async (flags: GenerateFlags) => {
      const config = parseConfig({ ...options, responses: undefined }, 'generate');
      await generateText(config, options.responses ?? 1, flags);
    });
}

async function generateText(config: RunConfig, responses: number, flags: GenerateFlags): Promise<void> {
  if (config.policy === undefined) throw new UserError('--policy is missing; see dualign generate --help');
  const prompt = flags.prompt ?? (await readStdin());
  const sources = new DiskSources(config.device, {
    threads: flags.threads,
    dtype: config.dtype,
    chatTemplate: config.chat_template,
    progress: fetchProgress(terminalProgress(flags.quiet ?? false)),
  });
  try {
    const policy = await sources.policy(config.policy).load();
    if (flags.adapter !== undefined) await sources.useAdapter(policy, flags.adapter);
    const always = config.chat_template === 'always';
    const ids = encodePrompt(policy, always ? [{ role: 'user', content: prompt }] : prompt);
    const rows = Array.from({ length: responses }, (_, k): GenerationRow => ({ ids, stream: [0, k] }));
    const start = performance.now();
    const generations = await show(policy, rows, config, flags);
    const seconds = (performance.now() - start) / 1000;
    const tokens = generations.reduce((sum, generation) => sum + generation.ids.length, 0);
    if (flags.json) process.stdout.write(`${JSON.stringify(asJson(policy, prompt, rows, generations))}\n`);
    if (!flags.quiet) {
      process.stderr.write(
        `${tokens} tokens in ${seconds.toFixed(1)} s, ${(tokens / seconds).toFixed(1)}/s\n`,
      );
    }
  } finally {
    sources.close();
  }
}

/** Generates the rows; without --json, writes one as it comes, and several one after the other. */
async function show(
  policy: Policy,
  rows: readonly GenerationRow[],
  config: RunConfig,
  { json = false, greedy = false }: GenerateFlags,
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
    batchSize: config.generation_batch_size,
  });
  for await (const { row, text, done } of tokens) {
    if (done) generations[row] = done;
    if (json) continue;
    if (rows.length === 1) write(done ? `${text}\n` : text);
    else parts[row] += text;
  }
  if (!json && rows.length > 1) write(parts.map((text, k) => `--- ${k + 1}\n${text}\n`).join(''));
  return generations;
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
