import type { Stage } from '../data/run.ts';
import { UserError } from '../errors.ts';
import type { Context } from './context.ts';

/** Runs a stage of the run, telling what happens; `note` says what it will do. */
export async function runStage(
  context: Context,
  stage: Stage & { readonly note?: string | (() => Promise<string>) },
): Promise<void> {
  const { run, progress } = context;
  const name = run.stageName(stage.name);
  const outcome = await run.stage({
    ...stage,
    work: async () => {
      const { note } = stage;
      progress.stage(name, 'started', typeof note === 'function' ? await note() : note);
      await stage.work();
      run.manifest.device = context.sources.device() ?? run.manifest.device;
    },
  });
  if (outcome !== 'ran') progress.stage(name, outcome);
}

/** Text of an artefact that an earlier stage makes. */
export async function readArtefact({ run }: Context, file: string, madeBy: string): Promise<string> {
  if (!(await run.folder.exists(file))) {
    throw new UserError(`${run.folder.name}: expected ${file}, found none`, 2, [
      `run "dualign ${madeBy} --out ${run.folder.name}" first`,
      'put the file there',
    ]);
  }
  return await run.folder.readText(file);
}
