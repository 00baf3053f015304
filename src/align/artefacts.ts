/** Names of the files in a run folder. */
export const SAMPLES = 'samples.jsonl';
export const SCORES = 'scores.jsonl';
export const DUAL = 'dual.json';
export const PAIRS = 'pairs.jsonl';
export const REFERENCE_LOGPS = 'reference_logps.safetensors';
export const METRICS = 'metrics.jsonl';
export const CHECKPOINT = 'checkpoint.safetensors';
export const ADAPTER = 'adapter';
export const ADAPTER_FILES = ['adapter/adapter_config.json', 'adapter/adapter_model.safetensors'] as const;
/** Folder of a whole model that was trained. */
export const MODEL = 'model';
export const EVALUATION = 'evaluation.json';
export const EVALUATION_REFERENCE = 'evaluation/reference.jsonl';
export const EVALUATION_ALIGNED = 'evaluation/aligned.jsonl';
export const JUDGEMENTS = 'judgements.jsonl';
export const JUDGEMENT = 'judgement.json';
/** Of training in several rounds: a folder for each, λ of each, and how all of them did. */
export const ROUNDS = 'rounds';
export const ROUND = 'round.json';
export const ROUNDS_SUMMARY = 'rounds.json';
/** Of policies aligned to one goal alone. */
export const BASELINES = 'baselines';
export const COMPARISON = 'comparison.json';
export const REPORT = 'report.html';
