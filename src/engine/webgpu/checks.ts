import { tensorChecks } from '../checks.ts';
import { GpuTensor } from './memory.ts';

export const { expectShape, expectRank, expectF32, own } = tensorChecks(GpuTensor);
