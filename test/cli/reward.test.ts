import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { toJsonl } from '../../src/data/jsonl.ts';
import { DiskFolder } from '../../src/host/disk.ts';
import { loadScorer } from '../../src/host/scorers.ts';
import { tinyFolder } from '../model/tiny.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-reward-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const policy = join(folder, 'policy');
const preferences = join(folder, 'preferences.jsonl');

const words = ['the', 'cat', 'dog', 'sat', 'mat', 'hat'];
const pairs = words.map((word) => ({
  prompt: `the ${word}`,
  response_0: ' ran so',
  response_1: ' ran big red',
  better_response_id: 1,
  safer_response_id: 0,
}));

async function writeInputs(): Promise<void> {
  const disk = new DiskFolder(policy);
  for (const [file, bytes] of (await tinyFolder()).files) await disk.write(file, bytes);
  writeFileSync(preferences, toJsonl(pairs));
}

const common = ['reward', '--policy', policy, '--preferences', preferences, '--device', 'cpu', '--quiet'];

describe('dualign reward', () => {
  it('learns either judgement into a folder that scores as it says, with LoRA or all weights', async () => {
    await writeInputs();
    for (const [judgement, how] of [
      ['helpful', ['--full', '--onnx', '16']],
      ['safe', ['--lora-r', '2']],
    ] as const) {
      const out = join(folder, judgement);
      const { code, stdout, stderr } = await dualign('node', [
        ...[...common, '--judgement', judgement, ...how, '--out', out, '--json'],
        ...['--num-train-epochs', '12', '--per-device-train-batch-size', '2', '--learning-rate', '0.02'],
      ]);
      expect(code, stderr).toBe(0);
      const result = JSON.parse(stdout);
      expect(result).toMatchObject({ eval_accuracy: 1 });
      const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
      expect(lines.length).toBe(result.steps + 12);
      expect(existsSync(join(out, 'model.onnx'))).toBe(judgement === 'helpful');
      const scorer = await loadScorer(out);
      const rows = [pairs[0].response_0, pairs[0].response_1].map((response) => ({
        prompt: 'the big',
        response,
      }));
      const [plain, long] = await scorer.score(rows);
      expect(long > plain).toBe(judgement === 'helpful');
    }
  });

  it.each([
    [
      ['reward', '--out', join(folder, 'none')],
      '--policy, --preferences are missing; see dualign reward --help',
    ],
    [[...common], '--out is missing; see dualign reward --help'],
    [
      [...common, '--out', policy],
      'expected a folder without a model, found config.json; give another --out',
    ],
    [
      [...common, '--out', join(folder, 'none'), '--judgement', 'kind'],
      '--judgement: expected ("helpful" | "safe"), got "kind"',
    ],
    [
      [...common, '--out', join(folder, 'none'), '--dtype', 'nf4'],
      'reward: expected --dtype auto or float32, to save the trained weights, got nf4',
    ],
    [[...common, '--out', join(folder, 'none'), '--loss-type', 'hinge'], "unknown option '--loss-type'"],
  ])('says what is wrong with %j', async (args, message) => {
    await writeInputs();
    const { code, stderr } = await dualign('node', args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });
});
