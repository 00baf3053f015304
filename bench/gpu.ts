/**
 * What a GPU gives: products in GFLOP/s by each kernel, tokens a second of prefill, decode and LoRA-DPO, and the memory
 * they take at most, in one table; beside onnxruntime-web's forward pass and jax-js's product on the same adapter, and PyTorch
 * in float32 on the same GPU. Each is a process of its own, one after the other. What this machine lacks is left out, and said
 * to be.
 *
 *     node bench/gpu.ts [--peak GFLOP/s] [--side 4096] [--dtype float32] [--jax folder] [--python python3] [--shapes names]
 *                       [--tiny]
 *     deno run -A bench/gpu.ts …
 *
 * `--peak` is the device's f32 peak, from its data sheet. `--jax` is a folder in which `npm install @jax-js/jax` was run;
 * it takes Deno. `--python` is a Python with `pip install torch transformers peft`. `--tiny` takes shapes that a driver without a GPU can do.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { requestDevice } from '../src/host/gpu.ts';

const { values: given } = parseArgs({
  options: {
    peak: { type: 'string' },
    side: { type: 'string' },
    dtype: { type: 'string', default: 'float32' },
    jax: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    shapes: { type: 'string' },
    tiny: { type: 'boolean', default: false },
  },
});
const isDeno = 'Deno' in globalThis;
const side = given.side ?? (given.tiny ? '128' : '4096');
const shapes = (given.shapes ?? (given.tiny ? 'tiny' : 'SmolLM2-135M,Qwen2.5-0.5B')).split(',');
/** Rows, prompts and responses in tokens, and pairs of a step. */
const sizes = given.tiny
  ? { rows: '2', 'prompt-tokens': '8', 'new-tokens': '4', pairs: '1', steps: '1' }
  : { rows: '32', 'prompt-tokens': '128', 'new-tokens': '128', pairs: '4', steps: '4' };

type Row = readonly [what: string, value: string, note?: string];

/** The object that a script prints last, or why there is none. */
function run<T>(script: string, options: Readonly<Record<string, string | true>>): T | string {
  const flags = Object.entries(options).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, value],
  );
  const path = join(import.meta.dirname!, script);
  const command = script.endsWith('.py')
    ? [given.python, path]
    : [process.execPath, ...(isDeno ? ['run', '-A'] : []), path];
  const { status, stdout, stderr, error } = spawnSync(command[0], [...command.slice(1), ...flags], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status === 0) return JSON.parse(stdout.trim().split('\n').at(-1)!) as T;
  if (error) return error.message;
  const lines = stderr.trim().split('\n');
  return lines.findLast((line) => /error/i.test(line))?.trim() ?? lines.at(-1) ?? `exit code ${status}`;
}

function rate(value: number): string {
  return value < 100 ? value.toFixed(2) : Math.round(value).toLocaleString('en');
}

function share(gflops: number): string {
  return given.peak ? `${((100 * gflops) / Number(given.peak)).toFixed(0)} % of peak` : '';
}

function products(): Row[] {
  const found = run<{ chosen: string; rates: Record<string, number> }>('matmul.ts', { side, json: true });
  if (typeof found === 'string') return [[`product ${side}³`, 'left out', found]];
  const best = Math.max(...Object.values(found.rates));
  const rows = Object.entries(found.rates).map(
    ([name, value]): Row => [`product ${side}³, ${name}`, `${rate(value)} GFLOP/s`, share(value)],
  );
  return [...rows, ['  what the engine takes', found.chosen], ...jaxProduct(best)];
}

function jaxProduct(best: number): Row[] {
  const name = `product ${side}³, jax-js`;
  if (!given.jax) return [[name, 'left out', 'see --jax']];
  const found = run<{ version: string; rate: number }>('jax_matmul.ts', { folder: given.jax, side });
  if (typeof found === 'string') return [[name, 'left out', found]];
  const ratio = `${found.version}; the engine's best is ${(best / found.rate).toFixed(2)} times it`;
  return [[name, `${rate(found.rate)} GFLOP/s`, ratio]];
}

function model(shape: string): Row[] {
  const { rows, ...rest } = sizes;
  const options = { shape, dtype: given.dtype, device: 'webgpu', rows, ...rest, json: true } as const;
  const found = run<{ rates: Record<string, number>; peak: number }>('policy.ts', options);
  if (typeof found === 'string') return [[shape, 'left out', found]];
  const line = (what: string, name: string): Row => [
    `${shape}, ${what}`,
    `${rate(found.rates[name])} tokens/s`,
  ];
  const forward = { shape, provider: 'webgpu', rows, 'prompt-tokens': sizes['prompt-tokens'] };
  const onnx = run<{ rates: { hidden: number }; extra: number }>('onnx_hidden.ts', forward);
  const beside: Row =
    typeof onnx === 'string'
      ? [`${shape}, forward, onnxruntime-web`, 'left out', onnx]
      : [
          `${shape}, forward, onnxruntime-web`,
          `${rate(onnx.rates.hidden)} tokens/s`,
          `the engine is ${(found.rates.hidden / onnx.rates.hidden).toFixed(2)} times as fast; ` +
            `its graph computes ${Math.round(100 * onnx.extra)} % more`,
        ];
  return [
    line('prefill', 'prefill'),
    line('decode', 'decode'),
    line('LoRA-DPO', 'DPO'),
    [`${shape}, memory of the engine`, `${Math.ceil(found.peak / 2 ** 20)} MiB`, 'at most'],
    line('forward', 'hidden'),
    beside,
    ...pytorch(shape, found.rates),
  ];
}

/** The same work in PyTorch, and, with the first shape, the same product. */
function pytorch(shape: string, own: Readonly<Record<string, number>>): Row[] {
  const name = `${shape}, PyTorch`;
  const measured = { shape, ...sizes, ...(shape === shapes[0] ? { side } : {}) };
  const found = run<{
    engine: string;
    device: string;
    rates: Record<string, number>;
    product: number | null;
    peak: number | null;
  }>('torch_policy.py', measured);
  if (typeof found === 'string') return [[name, 'left out', found]];
  const { engine, device, rates, product, peak } = found;
  const rows = (['prefill', 'decode', 'DPO', 'hidden'] as const).map(
    (key): Row => [
      `${name}, ${{ prefill: 'prefill', decode: 'decode', DPO: 'LoRA-DPO', hidden: 'forward' }[key]}`,
      `${rate(rates[key])} tokens/s`,
      `the engine is ${(own[key] / rates[key]).toFixed(2)} times as fast`,
    ],
  );
  const memory: Row[] = peak ? [[`${name}, memory`, `${Math.ceil(peak / 2 ** 20)} MiB`, 'at most']] : [];
  const same: Row[] = product
    ? [[`product ${side}³, PyTorch`, `${rate(product)} GFLOP/s`, share(product)]]
    : [];
  return [[name, 'float32', `${engine}, on ${device}`], ...rows, ...memory, ...same];
}

const { device, info } = await requestDevice();
device.destroy();
const host = isDeno ? 'Deno' : `Node ${process.version}`;
console.log(
  `${[info.description, info.vendor].filter(Boolean).join(', ')}, in ${host}; ${given.dtype} weights; ${sizes.rows} ` +
    `rows, prompts of ${sizes['prompt-tokens']} tokens, responses of ${sizes['new-tokens']}, ${sizes.pairs} pairs a step\n`,
);
for (const [what, value, note = ''] of [...products(), ...shapes.flatMap(model)]) {
  console.log(`${what.padEnd(56)}${value.padStart(20)}  ${note}`.trimEnd());
}
