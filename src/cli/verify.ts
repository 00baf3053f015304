import process from 'node:process';
import { Command } from 'commander';
import { parseConfig } from '../align/config.ts';
import { type StageCheck, type Verification, verify } from '../align/verify.ts';
import { Run } from '../data/run.ts';
import { UserError } from '../errors.ts';
import { DiskFolder, temporaryFolder } from '../host/disk.ts';
import { runtimeName } from '../host/runtime.ts';
import { gibibytes, positiveInteger } from './option_values.ts';
import { sourcesOf } from './run_command.ts';
import { terminalProgress } from './terminal.ts';

/** Exit code where a stage gave other bits. */
const DIFFERS = 1;

const HELP = `
What it does
  Makes every finished stage of the run again, from the inputs and settings that its manifest names, in a folder of its
  own, and compares the sha-256 of what each gives. It stops at the first stage that is not the same and names it. The
  run is left as it is. Run it in the folder where the run was made, since the paths of its inputs are kept as given.

Exit code
  0 the same bits, 1 a stage differs, 2 bad input.`;

interface Options {
  readonly device?: 'webgpu' | 'cpu';
  readonly threads?: number;
  readonly memory?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** `dualign verify RUN`. */
export function verifyCommand(): Command {
  return new Command('verify')
    .description('Repeat a run and compare: the same samples, scores, λ*, pairs and adapter, to the bit?')
    .argument('<run>', 'run folder')
    .option('--device <name>', 'webgpu or cpu, in place of the one that the run was made on')
    .option('--threads <n>', 'threads of the cpu device (all cores, at most 8)', positiveInteger)
    .option(
      '--memory <GiB>',
      'most memory to use on the device; the batches of the run are kept all the same',
      gibibytes,
    )
    .option('--json', 'print the result as JSON on stdout')
    .option('--quiet', 'no progress')
    .addHelpText('after', HELP)
    .action(async (path: string, options: Options) => {
      const folder = new DiskFolder(path);
      if (!(await folder.exists('manifest.json'))) {
        throw new UserError(`${path}: expected a run folder with manifest.json, found none`);
      }
      const original = await Run.view(folder);
      const result = await repeat(original, options);
      process.stdout.write(`${options.json ? JSON.stringify(result, null, 2) : textOf(result)}\n`);
      if (!result.same) process.exitCode = DIFFERS;
    });
}

async function repeat(original: Run, { device, threads, memory, quiet }: Options): Promise<Verification> {
  const madeOn = original.manifest.device?.engine;
  const settings = { ...(original.manifest.config as object), ...(madeOn ? { device: madeOn } : {}) };
  const config = parseConfig(device ? { ...settings, device } : settings, 'verify');
  const { path, remove } = await temporaryFolder('dualign-verify-');
  const progress = terminalProgress(quiet ?? false);
  const whole = original.manifest.stages.reward !== undefined;
  const sources = sourcesOf(config, { threads, memory, whole }, progress);
  try {
    const run = await Run.open(new DiskFolder(path), runtimeName());
    run.configure(config, false);
    return await verify(original, { run, config, sources, progress });
  } finally {
    sources.close();
    await remove();
  }
}

function textOf({ same, stages, original, repeated }: Verification): string {
  const width = Math.max(...stages.map(({ stage }) => stage.length));
  const lines = stages.map((check) => `  ${check.stage.padEnd(width)}  ${outcomeText(check)}`);
  const made = (by: Verification['original']) =>
    [`dualign ${by.dualign}`, by.host, by.device?.engine, by.device?.description].filter(Boolean).join(', ');
  const verdict = same
    ? 'The same bits in every stage.'
    : `Not the same: ${stages.at(-1)!.stage} is the first stage that differs; later ones were not run.`;
  return [`made by:     ${made(original)}`, `repeated by: ${made(repeated)}`, ...lines, verdict].join('\n');
}

function outcomeText({ outcome, names }: StageCheck): string {
  if (outcome === 'same') return 'same';
  return outcome === 'differs'
    ? `differs: ${names.join(', ')}`
    : `made from other inputs or settings: ${names.join(', ')}`;
}
