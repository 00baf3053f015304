import { ADAPTER_FILES, COMPARISON, EVALUATION, PAIRS, REPORT } from '../../src/align/artefacts.ts';
import { PageFolder } from '../../src/host/page_storage.ts';
import type { Comparison, Evaluation } from '../../src/report/data.ts';
import { saveFile } from '../shared/save.ts';

/** What a run came to. */
export interface Results {
  readonly evaluation: Evaluation;
  /** Where the run measured its outcome by others than its scorers. */
  readonly comparison?: Comparison;
}

export async function readResults(out: string): Promise<Results> {
  const folder = new PageFolder(out);
  const evaluation = JSON.parse(await folder.readText(EVALUATION)) as Evaluation;
  if (!(await folder.exists(COMPARISON))) return { evaluation };
  return { evaluation, comparison: JSON.parse(await folder.readText(COMPARISON)) as Comparison };
}

/** Files of the run that are of use elsewhere. */
export const SAVED = {
  report: { file: REPORT, type: 'text/html' },
  pairs: { file: PAIRS, type: 'application/jsonl' },
} as const;

export async function saveOne(out: string, what: keyof typeof SAVED): Promise<void> {
  const { file, type } = SAVED[what];
  saveFile(file, new Blob([await new PageFolder(out).file(file)], { type }));
}

/** The adapter as PEFT reads it, zipped. */
export async function saveAdapter(out: string): Promise<void> {
  await saveZip(out, [...ADAPTER_FILES], 'adapter.zip');
}

/** The whole run folder, which the command goes on with and verifies, zipped. */
export async function saveRun(out: string): Promise<void> {
  const files = await new PageFolder(out).files();
  await saveZip(out, files, `${out.slice(out.lastIndexOf('/') + 1)}.zip`);
}

/** Shows the report in a tab of its own. */
export async function openReport(out: string): Promise<void> {
  const url = URL.createObjectURL(new Blob([await new PageFolder(out).file(REPORT)], { type: 'text/html' }));
  window.open(url, '_blank', 'noopener');
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function saveZip(out: string, files: readonly string[], name: string): Promise<void> {
  const { zipSync } = await import('fflate');
  const folder = new PageFolder(out);
  const entries: Record<string, Uint8Array> = {};
  for (const file of [...files].sort()) entries[file] = await folder.read(file);
  // Weights do not get smaller.
  const bytes = zipSync(entries, { level: 0 }) as Uint8Array<ArrayBuffer>;
  saveFile(name, new Blob([bytes], { type: 'application/zip' }));
}
