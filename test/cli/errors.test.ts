import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hasShared, SHARED } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-errors-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

const prompts = file('prompts.jsonl', '{"prompt":"Once upon a time"}\n{"prompt":"One day, Tom"}\n');
const reward = file(
  'reward.ts',
  'export default (p: string, r: string[]) => r.map((text) => text.length);\n',
);
const cost = file(
  'cost.ts',
  'export default (p: string, r: string[]) => r.map((text) => text.length % 3);\n',
);

/** A run of two prompts; what is given takes the place of its own argument. */
function run(changes: Record<string, string> = {}): string[] {
  const settings = {
    '--policy': `${SHARED}/models/stories260K`,
    '--prompts': prompts,
    '--reward': reward,
    '--cost': cost,
    '--beta': '1',
    '--margin': '0.1',
    '--responses': '2',
    '--max-new-tokens': '4',
    '--out': join(folder, 'run'),
    ...changes,
  };
  return ['align', ...Object.entries(settings).flat()];
}

/** A copy of the story model with one file changed. */
function model(name: string, changed: string, change: (content: Buffer) => Buffer | string): string {
  const path = join(folder, name);
  cpSync(`${SHARED}/models/stories260K`, path, { recursive: true });
  rmSync(join(path, changed), { force: true });
  writeFileSync(join(path, changed), change(readFileSync(`${SHARED}/models/stories260K/${changed}`)));
  return path;
}

async function refused(args: readonly string[], says: RegExp, env: NodeJS.ProcessEnv = {}): Promise<void> {
  rmSync(join(folder, 'run'), { recursive: true, force: true });
  const { code, stdout, stderr } = await dualign('node', [...args, '--quiet'], { env });
  expect(stderr).toMatch(says);
  // Drivers may have said their own before.
  expect(stderr.trim().split('\n').at(-1)).toMatch(/^dualign: /);
  expect(stderr.match(/^dualign: |UserError/gm), stderr).toHaveLength(1);
  expect(stdout).toBe('');
  expect(code).toBe(2);
  for (const output of ['scores.jsonl', 'dual.json', 'report.html', 'adapter']) {
    expect(existsSync(join(folder, 'run', output)), output).toBe(false);
  }
}

describe('bad settings are refused with one line', () => {
  it.each<[string, string[], RegExp]>([
    ['an unknown option', [...run(), '--polcy', 'x'], /unknown option '--polcy' \(Did you mean --policy\?\)/],
    ['K = 1', run({ '--responses': '1' }), /--responses: expected >=2, got 1/],
    [
      'no limit',
      run().filter((arg) => arg !== '--margin' && arg !== '0.1'),
      /one --margin or --threshold for each/,
    ],
    [
      'no scorer of safety',
      run().filter((arg) => arg !== '--cost' && arg !== cost),
      /at least one --cost, --safety or --safe/,
    ],
    ['beta = 0', run({ '--beta': '0' }), /--beta: expected >0, got 0/],
    ['beta that is no number', run({ '--beta': 'small' }), /--beta.*expected a number/],
    ['a missing policy', run({ '--policy': join(folder, 'none') }), /none\/config.json: no such file/],
    ['missing prompts', run({ '--prompts': join(folder, 'none.jsonl') }), /none.jsonl: no such file/],
    ['a missing scorer', run({ '--cost': join(folder, 'none') }), /none: no such (file|scorer)/],
  ])('%s', async (_, args, says) => {
    await refused(args, says);
  });

  it('an empty command explains itself', async () => {
    const { code, stdout } = await dualign('node', []);
    expect(code).toBe(0);
    expect(stdout).toContain('align [options]');
  });

  it('a stage without what it needs says which stage makes it', async () => {
    await refused(
      ['label', '--out', join(folder, 'run')],
      /expected dual.json, found none; run "dualign dual --out/,
    );
  });
});

describe.skipIf(!hasShared)('bad inputs are refused with one line', () => {
  it.each<[string, () => string[], RegExp]>([
    [
      'empty prompts',
      () => run({ '--prompts': file('empty.jsonl', '\n') }),
      /empty.jsonl: expected prompts, found none/,
    ],
    [
      'a blank prompt',
      () => run({ '--prompts': file('blank.jsonl', '{"prompt":" "}\n') }),
      /line 1: expected a prompt/,
    ],
    [
      'prompts that are no JSON',
      () => run({ '--prompts': file('bad.jsonl', '{"prompt"\n') }),
      /bad.jsonl: line 1 is not JSON/,
    ],
    [
      'truncated safetensors',
      () => run({ '--policy': model('cut', 'model.safetensors', (bytes) => bytes.subarray(0, 500_000)) }),
      /cut\/model.safetensors: .*(truncated|ends|bytes)/,
    ],
    [
      'an unknown architecture',
      () => {
        const change = (json: Buffer) =>
          json.toString().replace('LlamaForCausalLM', 'MambaForCausalLM').replace('"llama"', '"mamba"');
        return run({ '--policy': model('mamba', 'config.json', change) });
      },
      /mamba/,
    ],
    [
      'a tokenizer of another model',
      () => {
        const change = (json: Buffer) => {
          const tokenizer = JSON.parse(json.toString());
          for (let id = 512; id < 600; id++) tokenizer.model.vocab[`extra${id}`] = id;
          return JSON.stringify(tokenizer);
        };
        return run({ '--policy': model('mismatch', 'tokenizer.json', change) });
      },
      /tokenizer/,
    ],
    [
      'scores that are NaN',
      () => run({ '--reward': file('nan.ts', 'export default (p, r) => r.map(() => NaN);\n') }),
      /nan.ts: .*NaN/,
    ],
    [
      'a scorer with too few scores',
      () => run({ '--reward': file('few.ts', 'export default (p, r) => [1];\n') }),
      /few.ts: .*expected 2 .*got 1/,
    ],
    [
      'a single prompt',
      () => run({ '--prompts': file('one.jsonl', '{"prompt":"Once"}\n') }),
      /at least 2 prompts/,
    ],
    ['prompts longer than the model', () => run({ '--max-new-tokens': '510' }), /at most 512 tokens/],
  ])('%s', async (_, args, says) => {
    await refused(args(), says);
  });

  it('no WebGPU adapter', async () => {
    const env = { VK_ICD_FILENAMES: '/nonexistent/icd.json', VK_DRIVER_FILES: '/nonexistent/icd.json' };
    await refused(run({ '--device': 'webgpu' }), /No WebGPU adapter: .*\/nonexistent\/icd.json.*/, env);
  });

  it('an impossible margin is a verdict, and nothing is trained', async () => {
    rmSync(join(folder, 'run'), { recursive: true, force: true });
    const { code, stdout } = await dualign('node', run({ '--margin': '50' }));
    expect(stdout).toContain('infeasible');
    expect(code).toBe(3);
    expect(existsSync(join(folder, 'run/adapter'))).toBe(false);
  });
});
