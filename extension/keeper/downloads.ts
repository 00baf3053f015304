import { strToU8, zipSync } from 'fflate';
import { UserError } from '../../src/errors.ts';
import { PageFolder } from '../../src/host/page_storage.ts';
import type { Download } from '../shared/channel.ts';
import { GOALS } from '../shared/state.ts';
import { ALIGNED, HOME } from '../work/protocol.ts';
import { type Judgements, toRows } from './judgements.ts';

const ZIP = 'application/zip';

/** The adapter as a PEFT folder, with the report of how it was made. */
export async function adapterDownload(): Promise<Download> {
  const folder = new PageFolder(ALIGNED);
  if (!(await folder.exists('adapter/adapter_config.json'))) {
    throw new UserError('There is no adapter yet: align the model first.');
  }
  return { name: 'dualign-adapter.zip', type: ZIP, bytes: await zipOf(folder) };
}

/** The judgements as TRL's preference rows, a file for each goal. */
export function judgementsDownload(judgements: Judgements): Download {
  const files = Object.fromEntries(
    GOALS.map((goal) => [`${goal}.jsonl`, strToU8(toRows(judgements.of(goal)))]),
  );
  return { name: 'dualign-judgements.zip', type: ZIP, bytes: zipSync(files) };
}

/** All that the extension keeps but the models, which came from elsewhere. */
export async function allDownload(): Promise<Download> {
  const bytes = await zipOf(new PageFolder(HOME));
  return { name: 'dualign-data.zip', type: ZIP, bytes };
}

async function zipOf(folder: PageFolder): Promise<Uint8Array<ArrayBuffer>> {
  const files: Record<string, Uint8Array> = {};
  for (const file of await folder.files()) files[file] = await folder.read(file);
  return zipSync(files);
}
