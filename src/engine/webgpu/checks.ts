import { tensorChecks } from '../checks.ts';
import { operandsOf } from '../operands.ts';
import { GpuTensor } from './memory.ts';

export const { expectF32, expectWritable, own } = tensorChecks(GpuTensor);

/** The shapes operations ask for, of this engine's tensors. */
export const operands = operandsOf(tensorChecks(GpuTensor));
