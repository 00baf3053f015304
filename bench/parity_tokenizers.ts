/** The half of parity_tokenizers.py that encodes and decodes with dualign: node bench/parity_tokenizers.ts FOLDER */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { isDeepStrictEqual } from 'node:util';
import { DiskFolder } from '../src/host/disk.ts';
import { loadTokenizer } from '../src/model/tokenizer.ts';

interface Case {
  readonly text: string;
  readonly ids: readonly number[];
  readonly plain: readonly number[];
  readonly decoded: readonly string[];
  readonly part: string;
}

const [root] = process.argv.slice(2);
const shown = (value: unknown) => JSON.stringify(value).slice(0, 200);
let failed = false;
for (const folder of readdirSync(root).sort((a, b) => Number(a) - Number(b))) {
  const path = join(root, folder);
  const { name, size, seconds, cases } = JSON.parse(readFileSync(join(path, 'expected.json'), 'utf8')) as {
    name: string;
    size: number;
    seconds: number;
    cases: Case[];
  };
  const began = performance.now();
  const tokenizer = await loadTokenizer(new DiskFolder(path));
  const loaded = performance.now();
  let wrong = 0;
  for (const { text, ...expected } of cases) {
    const found = {
      ids: tokenizer.encode(text),
      plain: tokenizer.encode(text, false),
      decoded: [true, false].map((skip) => tokenizer.decode(expected.plain, skip)),
      part: tokenizer.decode(expected.plain.slice(1, -1)),
    };
    if (isDeepStrictEqual(found, expected)) continue;
    wrong++;
    console.log(`  ${shown(text)}\n    expected ${shown(expected)}\n    dualign  ${shown(found)}`);
  }
  failed ||= wrong > 0;
  const time = `${((performance.now() - loaded) / 1000).toFixed(1)} s, theirs ${seconds.toFixed(1)} s`;
  console.log(
    `${wrong ? 'FAIL' : 'ok  '} ${name}: ${size} tokens, loaded in ${Math.round(loaded - began)} ms; ` +
      `${cases.length} texts, ${wrong} differ; ${time}`,
  );
}
process.exit(failed ? 1 : 0);
