/** What the page has to know of a score file before it asks the service: how many safety scores there are. */

const HEADER_FIELD = 8;
const FIRST_ROW = 1 << 20;

/** m; throws where the file is of no known kind. */
export async function safetyScoresIn(file: Blob): Promise<number> {
  const start = new Uint8Array(await file.slice(0, HEADER_FIELD).arrayBuffer());
  const parsed = start.includes(0) ? await safetensorsHeader(file, start) : await firstRow(file);
  const { safety } = parsed as { safety?: unknown };
  if (typeof safety === 'number') return 1;
  if (Array.isArray(safety) && safety.length > 0) return safety.length;
  const { shape } = (safety ?? {}) as { shape?: number[] };
  if (shape?.length === 2) return 1;
  if (shape?.length === 3) return shape[0];
  throw new Error('This file has no "safety": see below what a score file holds.');
}

async function safetensorsHeader(file: Blob, start: Uint8Array): Promise<unknown> {
  const length = Number(new DataView(start.buffer).getBigUint64(0, true));
  return parse(await file.slice(HEADER_FIELD, HEADER_FIELD + length).text());
}

async function firstRow(file: Blob): Promise<unknown> {
  return parse((await file.slice(0, FIRST_ROW).text()).trimStart().split('\n', 1)[0]);
}

function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {}
  throw new Error('This is neither JSON Lines nor safetensors: see below what a score file holds.');
}
