import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Root of the repository. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Real models and data beside the repository; suites that need them are skipped where they are absent. */
export const SHARED = fileURLToPath(new URL('../../../shared', import.meta.url));
export const hasShared = existsSync(`${SHARED}/models/stories260K/model.safetensors`);
if (!hasShared) console.warn(`tests on real models are skipped: expected ${SHARED}/models/stories260K`);
