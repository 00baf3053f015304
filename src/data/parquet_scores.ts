import {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type SchemaTree,
} from 'hyparquet';
import type { ScoreTable } from '../dual/problem.ts';
import { messageOf, UserError } from '../errors.ts';
import { CHUNK_ROWS, RowTable, ScatteredRows } from './score_rows.ts';

/** Bytes at the end of a file to read at first: the directory of most. */
const DIRECTORY = 1 << 16;
/** Codecs that hyparquet knows by itself. */
const OWN_CODECS = new Set(['UNCOMPRESSED', 'SNAPPY']);
const NEEDED = ['prompt', 'reward', 'safety'];

/**
 * Reads scores from parquet, a row a response, with the columns `prompt`, `reward`, `safety` (a list, or a number for
 * one score) and perhaps `weight`. Other columns are not even decompressed; one row group is held at a time.
 */
export async function readParquetScores(file: AsyncBuffer, name: string): Promise<ScoreTable> {
  let last: ScoreTable | undefined;
  for await (const table of read(file, name, Number.POSITIVE_INFINITY)) last = table;
  return last!;
}

/** The same in tables of some rows each, whole prompts; throws ScatteredRows where rows of a prompt are far apart. */
export function readParquetChunks(file: AsyncBuffer, name: string): AsyncGenerator<ScoreTable> {
  return read(file, name, CHUNK_ROWS);
}

async function* read(file: AsyncBuffer, name: string, most: number): AsyncGenerator<ScoreTable> {
  try {
    yield* tables(file, name, most);
  } catch (error) {
    if (error instanceof UserError || error instanceof ScatteredRows) throw error;
    throw new UserError(`${name}: not a readable parquet file (${messageOf(error)}); make or load it again`);
  }
}

async function* tables(file: AsyncBuffer, name: string, most: number): AsyncGenerator<ScoreTable> {
  const metadata = await parquetMetadataAsync(file, { initialFetchSize: DIRECTORY });
  const { children } = parquetSchema(metadata);
  const names = children.map(({ element }) => element.name);
  const missing = NEEDED.filter((column) => !names.includes(column));
  if (missing.length > 0) {
    throw new UserError(
      `${name}: expected columns "prompt", "reward" and "safety", found no ${missing.join(', no ')} among ` +
        `${names.join(', ') || 'none'}`,
    );
  }
  const isNarrow = (column: string) => leafOf(children[names.indexOf(column)]).element.type === 'FLOAT';
  const table = new RowTable(name, { reward: isNarrow('reward'), safety: isNarrow('safety') }, most);
  const columns = names.includes('weight') ? [...NEEDED, 'weight'] : NEEDED;
  const compressors = await compressorsFor(metadata);
  const scan = await parquetScan({ file, metadata, columns, compressors });
  for (const { rowStart, rowEnd } of scan.ranges) {
    const [prompt, reward, safety, weight] = await Promise.all(
      columns.map((column) => scan.readColumn({ column, rowStart, rowEnd })),
    );
    for (let i = 0; i < rowEnd - rowStart; i++) {
      const full = table.add(
        {
          prompt: prompt[i],
          reward: plain(reward[i]),
          safety: plain(safety[i]),
          ...(weight ? { weight: plain(weight[i]) } : {}),
        },
        rowStart + i + 1,
      );
      if (full) yield full;
    }
  }
  yield table.finish();
}

/** Where the numbers of a column lie, below its lists. */
function leafOf(tree: SchemaTree): SchemaTree {
  return tree.children.length === 0 ? tree : leafOf(tree.children[0]);
}

/** 64-bit integers as numbers. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plain);
  return Array.isArray(value) ? value.map(plain) : value;
}

/** Loaded only for files that need them. */
async function compressorsFor({ row_groups: groups }: FileMetaData): Promise<Compressors | undefined> {
  const codecs = groups.flatMap(({ columns }) => columns.map(({ meta_data: data }) => data?.codec));
  if (codecs.every((codec) => codec === undefined || OWN_CODECS.has(codec))) return undefined;
  return (await import('./parquet_codecs.ts')).CODECS;
}
