import { describe, expect, it } from 'vitest';
import { BlockLog, parseJsonl } from '../../src/data/jsonl.ts';
import { MemoryFolder } from '../support/memory_folder.ts';

describe('parseJsonl', () => {
  it('passes over blank lines and names the line that is not JSON', () => {
    expect(parseJsonl('1\n\n2\n', 'f', (row) => row)).toEqual([1, 2]);
    expect(() => parseJsonl('{"a":1}\n{"a":', 'f.jsonl', (row) => row)).toThrow(
      'f.jsonl: line 2 is not JSON',
    );
  });
});

describe('BlockLog', () => {
  it('goes on after the last whole block of a killed writer', async () => {
    const folder = new MemoryFolder();
    const log = await BlockLog.open<{ n: number }>(folder, 'rows.jsonl', 2);
    await log.append([{ n: 0 }, { n: 1 }]);
    // Killed in the middle of the second block: one whole row, one torn.
    await folder.append('rows.jsonl.partial', '{"n":2}\n{"n":');
    expect(await folder.exists('rows.jsonl')).toBe(false);

    const resumed = await BlockLog.open<{ n: number }>(folder, 'rows.jsonl', 2);
    expect(resumed.rows).toEqual([{ n: 0 }, { n: 1 }]);
    await resumed.append([{ n: 2 }, { n: 3 }]);
    await resumed.finish();
    expect(await folder.readText('rows.jsonl')).toBe('{"n":0}\n{"n":1}\n{"n":2}\n{"n":3}\n');
    expect([...folder.files.keys()]).toEqual(['rows.jsonl']);
  });
});
