import process from 'node:process';
import { Command } from 'commander';
import { parseConfig, type RunConfig, type RunOptions } from '../align/config.ts';
import type { ModelContext } from '../align/context.ts';
import type { Progress } from '../align/progress.ts';
import { Run } from '../data/run.ts';
import { UserError } from '../errors.ts';
import { DiskFolder } from '../host/disk.ts';
import { runtimeName } from '../host/runtime.ts';
import { DiskSources } from '../host/sources.ts';
import type { CommonOptions } from './common.ts';
import { addResourceOptions, addRunOptions, type OptionGroup } from './options.ts';
import { fetchProgress, terminalProgress } from './terminal.ts';

/** A command that works on a run folder. */
export interface RunCommand {
  readonly name: string;
  readonly description: string;
  readonly groups: readonly OptionGroup[];
  /** Whether it saves the weights of the policy, whatever the settings say. */
  readonly whole?: boolean;
  /** Does the work; returns what --json prints and the text for people. */
  run(context: ModelContext): Promise<{ json: unknown; text?: string; exitCode?: number }>;
}

export function runCommand({ name, description, groups, whole, run }: RunCommand): Command {
  const command = new Command(name).description(description);
  const options = addRunOptions(command, groups);
  if (groups.includes('policy') || groups.includes('scorers')) addResourceOptions(command);
  return command
    .option(
      '--out <folder>',
      'run folder: artefacts, manifest.json, report.html; settings left out come from it',
    )
    .option('--redo', 'replace finished stages whose settings changed')
    .option('--json', 'print the result as JSON on stdout')
    .option('--quiet', 'no progress')
    .action((common: CommonOptions) => execute(common, options, name, run, whole));
}

/** Does the work of a command in its run folder and prints the result. */
export async function execute(
  { out, redo = false, json = false, quiet = false, threads, memory }: Partial<CommonOptions>,
  options: RunOptions,
  name: string,
  work: RunCommand['run'],
  whole = false,
): Promise<void> {
  // Commander asks for required options before it looks for unknown ones, and would hide a misspelt option.
  if (out === undefined) throw new UserError(`--out is missing; see dualign ${name} --help`);
  const run = await Run.open(new DiskFolder(out), runtimeName());
  const config = parseConfig({ ...(run.manifest.config as object), ...options }, name);
  run.configure(config, redo);
  const progress = terminalProgress(quiet);
  const sources = sourcesOf(config, { threads, memory, whole }, progress);
  try {
    const result = await work({ run, config, sources, progress });
    const text = json ? JSON.stringify(result.json, null, 2) : result.text;
    if (text !== undefined) process.stdout.write(`${text}\n`);
    if (result.exitCode !== undefined) process.exitCode = result.exitCode;
  } finally {
    sources.close();
  }
}

/** The inputs of a run with these settings. Weights that are to be saved are held as they are computed, in float32. */
export function sourcesOf(
  config: RunConfig,
  { threads, memory, whole }: Pick<CommonOptions, 'threads' | 'memory'> & { readonly whole?: boolean },
  progress: Progress,
): DiskSources {
  const { seed } = config;
  return new DiskSources(config.device, {
    threads,
    memory,
    dtype: (whole || config.full) && config.dtype === 'auto' ? 'float32' : config.dtype,
    chatTemplate: config.chat_template,
    chatTemplateKwargs: config.chat_template_kwargs,
    initialSeed: config.from_scratch ? seed : undefined,
    seed,
    progress: fetchProgress(progress),
  });
}
