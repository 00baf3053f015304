/** The entry `dualign`: MoCAN as functions. The dual on its own, without GPU or models, is `dualign/dual`. */
export { collect } from './align/collect.ts';
export { parseConfig, type RunConfig, type RunOptions } from './align/config.ts';
export type { Context, ModelSource, Source, Sources } from './align/context.ts';
export { type RunDual, solveDual as solveRunDual } from './align/dual.ts';
export { evaluate } from './align/evaluate.ts';
export { label } from './align/label.ts';
export { type AlignResult, mocan } from './align/mocan.ts';
export { makePairs } from './align/pairs.ts';
export { pecan } from './align/pecan.ts';
export { prealign } from './align/prealign.ts';
export { type Progress, silent } from './align/progress.ts';
export { report } from './align/report.ts';
export { score } from './align/score.ts';
export { train } from './align/train.ts';
export type { Folder, WritableFolder } from './data/folder.ts';
export { HttpFolder } from './data/http_folder.ts';
export { Run } from './data/run.ts';
export { parseSafetensors, writeSafetensors } from './data/safetensors.ts';
export { readScores } from './data/scores.ts';
export * from './dual.ts';
export { createCpuEngine } from './engine/cpu/engine.ts';
export type { Engine, Tensor } from './engine/engine.ts';
export { createWebGpuEngine } from './engine/webgpu/engine.ts';
export { type DeviceChoice, openEngine } from './host/device.ts';
export { requestDevice } from './host/gpu.ts';
export { PageFolder } from './host/page_storage.ts';
export { classifierOnnx } from './model/classifier_onnx.ts';
export type { DtypeChoice } from './model/dtype.ts';
export {
  type GenerateOptions,
  type Generation,
  type GenerationRow,
  generate,
  responseText,
  streamTokens,
  type TokenEvent,
} from './model/generate.ts';
export { sequenceLogps } from './model/logps.ts';
export { loadAdapter, saveAdapter } from './model/peft.ts';
export { addAdapter, loadPolicy, type Policy } from './model/policy.ts';
export { loadRewardModel, type RewardModel, saveRewardModel } from './model/reward_model.ts';
export { saveModel } from './model/save.ts';
export { sequenceScores } from './model/score_head.ts';
export type { ReportData } from './report/data.ts';
export { renderReport, renderSummary } from './report/report.ts';
export { EngineScorer } from './score/engine.ts';
export { FunctionScorer } from './score/function.ts';
export { OnnxScorer } from './score/onnx.ts';
export type { Scorer } from './score/scorer.ts';
export type { TrainConfig } from './train/config.ts';
export type { TrainHooks } from './train/loop.ts';
export { type Generated, type OnPolicyMetrics, trainGrpo, trainRloo } from './train/on_policy.ts';
export type { GrpoConfig, RlooConfig } from './train/on_policy_config.ts';
export { type RewardConfig, type RewardPair, rewardTrainable, trainReward } from './train/reward.ts';
export type { Drawn, RewardFunctions } from './train/rollouts.ts';
export { adapterTrainable, weightsTrainable } from './train/trainable.ts';
export { type DpoConfig, trainDpo, trainSft } from './train/trainer.ts';
