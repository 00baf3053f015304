/**
 * The half of parity_schedules.py that computes with dualign: reads `[{type, kwargs, warmup, total}, …]`, writes the factor
 * of each step.
 *
 *     node bench/parity_schedules.ts CASES FACTORS
 */
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import {
  checkSchedule,
  type SchedulerKwargs,
  type SchedulerType,
  scheduleFactor,
} from '../src/train/schedule.ts';
import { loadWasm } from '../src/wasm.ts';

interface Case {
  readonly type: SchedulerType;
  readonly kwargs: SchedulerKwargs;
  readonly warmup: number;
  readonly total: number;
}

const [cases, out] = process.argv.slice(2);
const math = await loadWasm();
const factors = (JSON.parse(readFileSync(cases, 'utf8')) as Case[]).map(({ type, kwargs, warmup, total }) => {
  const config = { lr_scheduler_type: type, lr_scheduler_kwargs: kwargs, learning_rate: 2 };
  checkSchedule(config);
  return Array.from({ length: total }, (_, step) => scheduleFactor(config, step, warmup, total, math));
});
writeFileSync(out, JSON.stringify(factors));
