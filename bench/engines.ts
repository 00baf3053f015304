/**
 * Tokens a second of the CPU engine beside the WebGPU engine on software drivers (SwiftShader, Mesa's lavapipe),
 * onnxruntime-web's wasm provider and PyTorch: the same work, each in a process of its own, in turns. What this machine
 * lacks is left out, and said to be.
 *
 *     node bench/engines.ts [stories260K] [SmolLM2-135M] [--threads 2] [--rounds 2] [--python python3]
 *
 * PyTorch takes `pip install torch transformers peft`; lavapipe takes Mesa 25 or later.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '2' },
    python: { type: 'string', default: 'python3' },
  },
});
const threads = Number(given.threads);
const rounds = Number(given.rounds);

const here = import.meta.dirname;
const stories = join(here, '../../shared/models/stories260K');

/** What is done with each model; small enough for the slowest to end: of SmolLM2-135M's shape, 10 of the 30 layers. */
const TASKS: Readonly<Record<string, readonly string[]>> = {
  stories260K: [
    ...['--model', stories, '--rows', '64', '--prompt-tokens', '32', '--new-tokens', '32'],
    ...['--pairs', '8', '--steps', '2'],
  ],
  'SmolLM2-135M': [
    ...['--layers', '10', '--rows', '2', '--prompt-tokens', '32', '--new-tokens', '4'],
    ...['--pairs', '1', '--steps', '1'],
  ],
};
const SHOWN = [
  ['hidden', 'forward'],
  ['prefill', 'prefill'],
  ['decode', 'sampling'],
  ['log-probs', 'scoring'],
  ['DPO', 'DPO step'],
] as const;

interface Program {
  readonly name: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Options of a task that it takes; all by default. */
  readonly takes?: readonly string[];
  /** A driver that computes on the CPU takes minutes where the rest take seconds. */
  readonly slow?: boolean;
}

function policy(device: string, count: number): readonly string[] {
  return [
    process.execPath,
    join(here, 'policy.ts'),
    '--json',
    '--device',
    device,
    '--threads',
    String(count),
  ];
}

/** A driver's manifest, by its name's beginning, in the folders where Vulkan's loader looks and Chromium's. */
function manifest(prefix: string): string | undefined {
  const folders = ['/usr/lib/chromium', '/opt/google/chrome', '/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d'];
  const files = folders.filter(existsSync).flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.startsWith(prefix) && name.endsWith('.json'))
      .map((name) => join(folder, name)),
  );
  return files[0];
}

function webGpu(name: string, prefix: string): Program[] {
  const driver = manifest(prefix);
  if (!driver) console.log(`${name} is not here: left out.`);
  if (!driver) return [];
  const environment = { VK_ICD_FILENAMES: driver };
  return [{ name: `WebGPU, ${name}`, command: policy('webgpu', 1), environment, slow: true }];
}

function pytorch(): Program[] {
  const { status } = spawnSync(given.python, ['-c', 'import torch, transformers, peft']);
  if (status !== 0) console.log(`${given.python} has no torch, transformers and peft: PyTorch is left out.`);
  if (status !== 0) return [];
  const command = (count: number) => [
    ...[given.python, join(here, 'torch_policy.py'), '--device', 'cpu'],
    ...['--threads', String(count)],
  ];
  return [1, threads].map((count) => ({ name: `PyTorch, ${threadText(count)}`, command: command(count) }));
}

function threadText(count: number): string {
  return count === 1 ? '1 thread' : `${count} threads`;
}

const programs: readonly Program[] = [
  ...[1, threads].map((count) => ({
    name: `CPU engine, ${threadText(count)}`,
    command: policy('cpu', count),
  })),
  ...webGpu('SwiftShader', 'vk_swiftshader'),
  ...webGpu('lavapipe', 'lvp_icd'),
  {
    name: 'onnxruntime-web, 1 thread',
    command: [process.execPath, join(here, 'onnx_hidden.ts')],
    takes: ['--model', '--layers', '--rows', '--prompt-tokens'],
  },
  ...pytorch(),
];

interface Result {
  readonly rates: Readonly<Record<string, number>>;
  /** By how much more a program computes than the rest. */
  readonly extra?: number;
}

function run({ name, command, environment, takes }: Program, task: readonly string[]): Result | undefined {
  const options = task.flatMap((option, i) =>
    option.startsWith('--') && (takes?.includes(option) ?? true) ? [option, task[i + 1]] : [],
  );
  const { status, stdout, stderr } = spawnSync(command[0], [...command.slice(1), ...options], {
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  });
  if (status === 0) return JSON.parse(stdout.trim().split('\n').at(-1)!);
  console.log(`${name} failed: ${stderr.trim().split('\n').at(-1)}`);
  return undefined;
}

/** Tokens a second, then how many times those of the CPU engine with as many threads. */
function print(model: string, results: ReadonlyMap<string, Result[]>): void {
  const best = new Map(
    [...results].map(([name, runs]) => {
      const most = (key: string) => Math.max(...runs.map(({ rates }) => rates[key] ?? Number.NaN));
      return [name, new Map(SHOWN.map(([key]) => [key, most(key)]))] as const;
    }),
  );
  console.log(
    `\n${model}: tokens a second; in brackets, the CPU engine's rate over this one, on as many threads`,
  );
  console.log(''.padEnd(28), ...SHOWN.map(([, text]) => text.padStart(16)));
  for (const [name, rates] of best) {
    const count = name.endsWith('1 thread') ? 1 : threads;
    const own = best.get(`CPU engine, ${threadText(count)}`);
    const cells = SHOWN.map(([key]) => {
      const rate = rates.get(key)!;
      if (Number.isNaN(rate)) return '';
      const ratio = name.startsWith('CPU') ? '' : ` (${(own!.get(key)! / rate).toFixed(2)})`;
      return `${rate < 100 ? rate.toFixed(1) : Math.round(rate)}${ratio}`;
    });
    console.log(name.padEnd(28), ...cells.map((cell) => cell.padStart(16)));
  }
  for (const [name, [result]] of results) {
    if (result.extra)
      console.log(`${name} computes ${Math.round(100 * result.extra)} % more: see its script.`);
  }
}

for (const model of positionals.length > 0 ? positionals : Object.keys(TASKS)) {
  const task = TASKS[model];
  if (!task) throw new Error(`expected ${Object.keys(TASKS).join(' or ')}, got ${model}`);
  const results = new Map<string, Result[]>();
  for (let round = 0; round < rounds; round++) {
    for (const program of programs) {
      if (round > 0 && program.slow) continue;
      const result = run(program, task);
      if (result) results.set(program.name, [...(results.get(program.name) ?? []), result]);
    }
  }
  print(model, results);
}
