/** Trainings on their own, from the command line, on a model of a few hundred weights. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/data/hash.ts';
import { toJsonl } from '../../src/data/jsonl.ts';
import { openEngine } from '../../src/host/device.ts';
import { DiskFolder } from '../../src/host/disk.ts';
import { completionTokenLogps } from '../../src/model/logps.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { tinyFolder } from '../model/tiny.ts';
import { dualign, type Host } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-training-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (...parts: string[]) => join(folder, ...parts);

const words = ['cat', 'dog', 'hat', 'mat'];
const texts = words.map((word) => ({ text: `the ${word} sat on the big red ${word}` }));
const pairs = words.map((word) => ({ prompt: `the ${word}`, chosen: ' sat on', rejected: ' ran so' }));
/** Each turn between tokens of its own. */
const TEMPLATE =
  '{% for message in messages %}<s> {{ message.content }} </s> {% endfor %}{% if add_generation_prompt %}<s>{% endif %}';

beforeAll(async () => {
  const disk = new DiskFolder(at('policy'));
  for (const [file, bytes] of (await tinyFolder()).files) await disk.write(file, bytes);
  // Of this one nothing but the shape and the tokenizer is there.
  const shape = new DiskFolder(at('shape'));
  for (const [file, bytes] of (await tinyFolder()).files) {
    if (!file.endsWith('.safetensors')) await shape.write(file, bytes);
  }
  writeFileSync(at('texts.jsonl'), toJsonl(texts));
  writeFileSync(
    at('pairs.jsonl'),
    toJsonl([...pairs, ...pairs.map((row) => ({ ...row, prompt: `big ${row.prompt}` }))]),
  );
  writeFileSync(at('template.jinja'), TEMPLATE);
});

async function run(host: Host, out: string, args: readonly string[], killWhen?: string) {
  const all = [...args, '--device', 'cpu', '--out', at(out), '--json', '--quiet'];
  return await dualign(host, all, killWhen ? { killWhen } : {});
}

/** sha-256 of each file of a run but the manifest, which names the host. */
async function hashes(out: string): Promise<Record<string, string>> {
  const entries = readdirSync(at(out), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const named = files.map(async (file) => [file.slice(at(out).length + 1), await sha256(readFileSync(file))]);
  const all: Record<string, string> = Object.fromEntries(await Promise.all(named));
  delete all['manifest.json'];
  return all;
}

function metricsOf(out: string): Record<string, number>[] {
  const lines = readFileSync(at(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

const SFT = ['sft', '--policy', at('policy'), '--dataset', at('texts.jsonl'), '--learning-rate', '0.03'];
const SCRATCH = [
  ...['sft', '--policy', at('shape'), '--dataset', at('texts.jsonl'), '--full', '--from-scratch'],
  ...['--num-train-epochs', '40', '--per-device-train-batch-size', '4', '--learning-rate', '0.03'],
];
const DPO = ['dpo', '--policy', at('policy'), '--preferences', at('pairs.jsonl'), '--learning-rate', '0.02'];

/** A command and the files that it leaves. */
const TRAININGS: [string, string[], string[]][] = [
  [
    'sft',
    [
      ...SFT,
      '--save-steps',
      '2',
      '--lr-scheduler-type',
      'warmup_stable_decay',
      '--lr-scheduler-kwargs',
      '{"num_decay_steps": 1}',
    ],
    ['adapter/adapter_config.json', 'adapter/adapter_model.safetensors', 'metrics.jsonl'],
  ],
  [
    'sft-scratch',
    [...SCRATCH, '--save-steps', '15'],
    ['metrics.jsonl', 'model/config.json', 'model/model.safetensors', 'model/tokenizer.json'],
  ],
  [
    'dpo',
    [
      ...DPO,
      '--eval-fraction',
      '0.25',
      '--eval-steps',
      '1',
      '--per-device-train-batch-size',
      '4',
      '--save-steps',
      '2',
      '--lora-dropout',
      '0.1',
    ],
    [
      'adapter/adapter_config.json',
      'adapter/adapter_model.safetensors',
      'metrics.jsonl',
      'reference_logps.safetensors',
    ],
  ],
  [
    'reward',
    [
      'reward',
      '--policy',
      at('policy'),
      '--preferences',
      at('pairs.jsonl'),
      '--per-device-train-batch-size',
      '4',
      '--save-steps',
      '2',
    ],
    ['config.json', 'metrics.jsonl', 'model.safetensors', 'tokenizer.json'],
  ],
];

describe.each(TRAININGS)('dualign %s', (name, args, files) => {
  it('leaves the same files in Node, killed and gone on with in Deno, and repeated by verify', async () => {
    const whole = await run('node', name, [...args]);
    expect(whole.code, whole.stderr).toBe(0);
    const expected = await hashes(name);
    expect(Object.keys(expected).sort()).toEqual(files);
    const killed = await run('node', `${name}-killed`, args, 'checkpoint.safetensors');
    expect(killed.code).not.toBe(0);
    expect(existsSync(at(`${name}-killed`, 'checkpoint.safetensors'))).toBe(true);
    const resumed = await run('deno', `${name}-killed`, args);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(JSON.parse(resumed.stdout)).toEqual(JSON.parse(whole.stdout));
    expect(await hashes(`${name}-killed`)).toEqual(expected);
    const verified = await dualign('deno', ['verify', at(name), '--quiet']);
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
    const manifest = JSON.parse(readFileSync(at(name, 'manifest.json'), 'utf8'));
    expect(manifest.device).toMatchObject({ engine: 'cpu', dtype: 'float32' });
  }, 60_000);
});

describe('dualign sft', () => {
  it('learns a corpus from scratch into a model that loads', async () => {
    const rows = metricsOf('sft-scratch');
    expect(rows).toHaveLength(40);
    expect(rows[0].loss).toBeCloseTo(Math.log(18), 1);
    expect(rows.at(-1)!.loss).toBeLessThan(0.5);
    const engine = await openEngine('cpu');
    const policy = await loadPolicy(engine, new DiskFolder(at('sft-scratch', 'model')));
    const ids = [...policy.tokenizer.encode('the dog sat on the big red'), 5, 2];
    const completion = { promptIds: ids.slice(0, 3), completionIds: ids.slice(3) };
    const [logps] = await completionTokenLogps(policy, [completion]);
    // Which of the four words comes last takes more than this model learns.
    expect(logps[4]).toBeGreaterThan(-2);
    expect(Math.min(...logps.filter((_, index) => index !== 4))).toBeGreaterThan(-0.5);
    engine.destroy();
  });

  it('takes conversations, completions and texts a line, each with the tokens that TRL would learn', async () => {
    writeFileSync(
      at('conversations.jsonl'),
      toJsonl([
        {
          messages: [
            { role: 'user', content: 'the cat' },
            { role: 'assistant', content: 'sat on' },
          ],
        },
      ]),
    );
    writeFileSync(
      at('completions.jsonl'),
      toJsonl([
        {
          prompt: [{ role: 'user', content: 'the cat' }],
          completion: [{ role: 'assistant', content: 'sat on the mat' }],
        },
      ]),
    );
    writeFileSync(at('lines.txt'), 'the cat sat\nthe dog ran\n');
    // <s> the cat </s> <s> sat on </s>; <s> the cat </s> <s> and sat on the mat </s>; the cat sat </s> and the dog ran </s>.
    for (const [file, tokens] of [
      ['conversations.jsonl', 8],
      ['completions.jsonl', 10],
      ['lines.txt', 8],
    ] as const) {
      const { code, stdout, stderr } = await run('node', `${file}-run`, [
        ...[
          'sft',
          '--policy',
          at('policy'),
          '--dataset',
          at(file),
          '--chat-template',
          at('template.jinja'),
          '--max-steps',
          '1',
        ],
      ]);
      expect(code, stderr).toBe(0);
      expect(JSON.parse(stdout).num_tokens).toBe(tokens);
    }
    const cut = await run('node', 'cut', [
      'sft',
      '--policy',
      at('policy'),
      '--dataset',
      at('lines.txt'),
      '--max-length',
      '3',
      '--max-steps',
      '1',
    ]);
    expect(JSON.parse(cut.stdout).num_tokens).toBe(6);
  });

  it('stops when what is held out gets worse, and goes back to the best', async () => {
    const { code, stdout, stderr } = await run('node', 'stopped', [
      ...SFT,
      ...[
        '--learning-rate',
        '0.2',
        '--num-train-epochs',
        '100',
        '--eval-fraction',
        '0.25',
        '--eval-steps',
        '2',
      ],
      ...['--early-stopping-patience', '2'],
    ]);
    expect(code, stderr).toBe(0);
    const result = JSON.parse(stdout);
    expect(result.steps).toBeLessThan(100);
    const evaluations = metricsOf('stopped').filter(({ eval_loss }) => eval_loss !== undefined);
    const losses = evaluations.map(({ eval_loss }) => eval_loss);
    expect(result.eval_loss).toBe(Math.min(...losses));
    expect(losses.indexOf(result.eval_loss)).toBe(losses.length - 3);
  });
});

describe('dualign dpo', () => {
  it('trains all weights against the model as it was', async () => {
    const { code, stdout, stderr } = await run('node', 'dpo-full', [
      ...DPO,
      '--full',
      '--num-train-epochs',
      '8',
    ]);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ steps: 8, 'rewards/accuracies': 1 });
    const rows = metricsOf('dpo-full');
    expect(rows[0].loss).toBeCloseTo(Math.log(2), 6);
    expect(rows.at(-1)!['rewards/margins']).toBeGreaterThan(1);
    expect(existsSync(at('dpo-full', 'model', 'model.safetensors'))).toBe(true);
    expect(existsSync(at('dpo-full', 'adapter'))).toBe(false);
  });
});

describe('labels and margins of preferences', () => {
  const write = (name: string, more: object, rows: readonly object[] = pairs) =>
    writeFileSync(at(name), toJsonl(rows.map((row) => ({ ...row, ...more }))));
  const once = ['--policy', at('policy'), '--max-steps', '1', '--lr-scheduler-type', 'constant'];
  const first = async (command: string, file: string, ...more: string[]) => {
    const args = [command, ...once, '--preferences', at(file), '--eval-fraction', '0', ...more];
    const { code, stdout, stderr } = await run('node', `${command}-${file}`, args);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout);
  };

  it('are what DPO and a reward model learn', async () => {
    write('half.jsonl', { label: 0.5 });
    write('never.jsonl', { label: 0 });
    write(
      'swapped.jsonl',
      {},
      pairs.map(({ prompt, chosen, rejected }) => ({ prompt, chosen: rejected, rejected: chosen })),
    );
    // Where either is as good, nothing is to be learnt; the rejected one that is always preferred is a chosen one.
    expect((await first('dpo', 'half.jsonl')).grad_norm).toBe(0);
    const [never, swapped] = [await first('dpo', 'never.jsonl'), await first('dpo', 'swapped.jsonl')];
    expect(never.grad_norm).toBeGreaterThan(0);
    expect(never.grad_norm).toBeCloseTo(swapped.grad_norm, 6);
    const one = [{ ...pairs[0], margin: 0.75 }];
    write('margin.jsonl', {}, one);
    const { loss, margin } = await first('reward', 'margin.jsonl', '--center-rewards-coefficient', '0');
    expect(loss).toBeCloseTo(Math.log(1 + Math.exp(0.75 - margin)), 5);
  });
});

describe('trainings that cannot be', () => {
  it('say that nothing is left to learn from, before anything is written', async () => {
    for (const args of [DPO, ['reward', '--policy', at('policy'), '--preferences', at('pairs.jsonl')]]) {
      const { code, stderr } = await run('node', 'none', [...args, '--max-length', '2']);
      expect(stderr).toContain('expected at least one pair to learn from, got none');
      expect(code).toBe(2);
      expect(existsSync(at('none'))).toBe(false);
    }
  });

  it('do not leave what has overflowed', async () => {
    for (const args of [SFT, DPO]) {
      const huge = [
        ...args,
        '--learning-rate',
        '1e39',
        '--lr-scheduler-type',
        'constant',
        '--max-steps',
        '1',
      ];
      const { code, stderr } = await run('node', 'huge', huge);
      expect(stderr).toContain('lower the learning rate');
      expect(code).toBe(2);
      expect(existsSync(at('huge', 'adapter'))).toBe(false);
      rmSync(at('huge'), { recursive: true, force: true });
    }
  });

  it.each([
    [['sft', '--policy', at('policy')], '--dataset is missing; see dualign sft --help'],
    [['dpo', '--preferences', at('pairs.jsonl')], '--policy is missing; see dualign dpo --help'],
    [[...SFT, '--from-scratch'], 'give --full with it'],
    [
      [...SFT, '--full', '--dtype', 'nf4'],
      'sft: expected --dtype auto or float32, to save the trained weights, got nf4',
    ],
    [[...SFT, '--max-length', '1'], '--max-length: expected >=2, got 1'],
    [
      [...SFT, '--target-modules', 'lm_head'],
      'dualign: LoRA: target_modules lm_head match no linear layer of a block',
    ],
    [[...DPO, '--target-modules', '.*(q_proj|lm_head)'], 'matches lm_head, which gets no factors'],
    [[...DPO, '--lr-scheduler-type', 'greedy'], '--lr-scheduler-type'],
    [[...SFT, '--memory', '0.0001'], 'than the 1 MiB that are allowed; allow more with --memory'],
    [
      ['sft', '--policy', at('policy'), '--dataset', at('pairs.jsonl')],
      'pairs.jsonl: line 1: expected a string "completion"',
    ],
    [['sft', '--policy', at('shape'), '--dataset', at('texts.jsonl')], 'model.safetensors'],
    [[...DPO, '--loss-type', 'dapo'], 'expected one of sigmoid, ipo, hinge for dpo, got dapo'],
  ])('say what is wrong with %j', async (args, message) => {
    const { code, stderr } = await run('node', 'none', args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(existsSync(at('none'))).toBe(false);
  });
});
