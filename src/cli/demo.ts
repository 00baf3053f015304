/** The demo of models/demo, as `npm start` runs it. */
import { readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { RunOptions } from '../align/config.ts';
import { UserError } from '../errors.ts';
import { addRunOptions, type OptionGroup } from './options.ts';

const GROUPS: readonly OptionGroup[] = [
  'policy',
  'prompts',
  'scorers',
  'preferences',
  'limits',
  'comparison',
  'sampling',
  'training',
];

/** The settings of `npm start`. */
export async function demoOptions(method: 'mocan' | 'pecan'): Promise<RunOptions> {
  const folder = await demoFolder();
  const all = JSON.parse(await readFile(`${folder}/settings.json`, 'utf8')) as Record<
    string,
    { readonly inputs: Record<string, string>; readonly settings?: string }
  >;
  const inputs = Object.entries({ ...all.both.inputs, ...all[method].inputs });
  const args = [
    ...inputs.flatMap(([option, path]) => [option, `${folder}/${path}`]),
    ...(all[method].settings ?? '').split(' '),
  ];
  const command = new Command().exitOverride();
  const options = addRunOptions(command, GROUPS);
  command.parse(args, { from: 'user' });
  return options;
}

/** Of a checkout, from its sources or from its bundle. */
async function demoFolder(): Promise<string> {
  for (const place of ['../../models/demo', '../models/demo']) {
    const folder = fileURLToPath(new URL(place, import.meta.url));
    const found = await stat(`${folder}/settings.json`).then(
      () => true,
      () => false,
    );
    if (found) return folder;
  }
  throw new UserError('the demo lies in the repository, in models/demo, and not here; give a run with --run');
}
