import process from 'node:process';
import { Command, CommanderError } from 'commander';
import { messageOf, UserError } from '../errors.ts';
import { VERSION } from '../generated/version.ts';
import { convergenceCommand } from './convergence.ts';
import { curveCommand } from './curve.ts';
import { dualCommand } from './dual.ts';
import { experimentCommand } from './experiment.ts';
import { generateCommand } from './generate.ts';
import { judgeCommand } from './judge.ts';
import { planCommand } from './plan.ts';
import { planMemoryCommand } from './plan_memory.ts';
import { solveRun, stageCommands } from './stages.ts';
import { trainingCommands } from './training.ts';
import { verifyCommand } from './verify.ts';

const BAD_INPUT = 2;

function program(): Command {
  const root = new Command('dualign')
    .description(
      'One-shot safety alignment of language models: sample once, score once, solve the dual for λ*, train once.',
    )
    .version(VERSION)
    .configureHelp({ sortSubcommands: false })
    .addHelpText('after', "\nA command's own help: dualign align --help. Without a command: align.");
  for (const command of stageCommands()) root.addCommand(command, { isDefault: command.name() === 'align' });
  root.addCommand(dualCommand(solveRun));
  root.addCommand(curveCommand());
  root.addCommand(planCommand());
  root.addCommand(convergenceCommand());
  root.addCommand(planMemoryCommand());
  root.addCommand(judgeCommand());
  root.addCommand(experimentCommand());
  root.addCommand(verifyCommand());
  root.addCommand(generateCommand());
  for (const command of trainingCommands()) root.addCommand(command);
  for (const command of [root, ...root.commands]) {
    command
      .exitOverride()
      .showSuggestionAfterError()
      .configureOutput({ outputError: () => {} });
  }
  return root;
}

/** A reader that has seen enough, such as `head`, closes the pipe: of no error. Without progress, work goes on. */
function leaveWhenUnread(): void {
  const on = (stream: NodeJS.WriteStream, then: () => void) =>
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      then();
    });
  on(process.stdout, () => process.exit());
  on(process.stderr, () => {});
}

/** Runs the command line; sets the process's exit code and prints a user's error as one line. */
export async function main(args: readonly string[] = process.argv.slice(2)): Promise<void> {
  const root = program();
  leaveWhenUnread();
  try {
    if (args.length === 0) {
      root.outputHelp();
      return;
    }
    await root.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return;
    process.exitCode =
      error instanceof UserError ? error.exitCode : error instanceof CommanderError ? BAD_INPUT : 1;
    const expected = error instanceof UserError || error instanceof CommanderError;
    const text = expected
      ? messageOf(error)
          .replace(/^error: /, '')
          .replaceAll('\n', ' ')
      : ((error as Error).stack ?? messageOf(error));
    process.stderr.write(`dualign: ${text}\n`);
  }
}
