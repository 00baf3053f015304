#!/usr/bin/env node
/**
 * The dualign command, the same file for `deno run -A align.ts`, `node align.ts` and the bundled bin.
 * `align.ts --policy … --out …` is short for `align.ts align --policy … --out …`.
 */
import { main } from './src/cli/main.ts';

await main();
