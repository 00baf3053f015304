import type { StageSettings } from '../data/run.ts';
import { parseSafetensors, writeSafetensors } from '../data/safetensors.ts';
import type { Policy } from '../model/policy.ts';
import { totalSteps } from '../train/config.ts';
import { type PreferencePair, type ReferenceLogps, referenceLogps } from '../train/dpo.ts';
import { type Batches, fitDpo } from '../train/fit.ts';
import { DPO_DEFAULTS, type DpoConfig, type TrainMetrics, trainDpo } from '../train/trainer.ts';
import { runAdapterStage } from './adapter_stage.ts';
import { ADAPTER_FILES, PAIRS, REFERENCE_LOGPS } from './artefacts.ts';
import { dpoLoss, loraSettings, need, type RunConfig, trainSettings } from './config.ts';
import type { Context } from './context.ts';
import { readDual } from './dual.ts';
import { encodePrompt, encodeResponse } from './encode.ts';
import { trainOnPolicy } from './on_policy.ts';
import { groupByPrompt, type PairRow, parsePairRows } from './rows.ts';
import { loadPrompts } from './split.ts';
import { readArtefact, runStage } from './stage.ts';

/** What an adapter learns from, and where in the run folder its files go. */
export interface TrainTarget {
  readonly rows: readonly PairRow[];
  /** sha-256 of the rows. */
  readonly hash: string;
  readonly beta: number;
  /** Name of its stages and folder of its files, where the run trains more than one adapter. */
  readonly part?: { readonly name: string; readonly folder: string };
}

/**
 * MoCAN step 5: DPO on the pairs against the reference policy, or, by the setting `trainer`, policy gradients on r + λ*ᵀg.
 * Writes adapter/ (PEFT) and metrics.jsonl.
 */
export async function train(context: Context): Promise<void> {
  const { beta, trainer } = need(context.config, 'policy', 'beta');
  if (trainer !== 'dpo') {
    const { lambda } = await readDual(context);
    const { train: prompts } = await loadPrompts(context);
    await trainOnPolicy(context, { name: 'train', trainer, prompts, lambda, beta });
    return;
  }
  const rows = parsePairRows(await readArtefact(context, PAIRS, 'label'), PAIRS);
  const hash = await context.run.hash(PAIRS);
  await trainAdapter(context, { rows, hash, beta });
}

/** DPO of an adapter on preference pairs against the reference policy. */
export async function trainAdapter(context: Context, target: TrainTarget): Promise<void> {
  const { run, config, sources, progress } = context;
  const { policy: path } = need(config, 'policy');
  const { rows, beta, part } = target;
  const stage = (name: string) => (part ? `${part.name}: ${name}` : name);
  const file = (name: string) => (part ? `${part.folder}/${name}` : name);
  const source = sources.policy(path);
  const base = {
    policy: await source.hash(),
    device: await sources.engine(),
    pairs: target.hash,
  };
  const encoded = once(async () => {
    const policy = await source.load();
    const all = rows.map((row) => encodePair(policy, row));
    const pairs = all.filter((pair) => lengthOf(pair) <= policy.maxLength);
    if (pairs.length < all.length) {
      progress.say(`left out ${all.length - pairs.length} pairs longer than ${policy.maxLength} tokens`);
    }
    return { policy, pairs };
  });
  await runStage(context, {
    name: stage('reference log-probs'),
    settings: base,
    outputs: [file(REFERENCE_LOGPS)],
    note: `${rows.length} pairs`,
    work: async () => {
      const { policy, pairs } = await encoded();
      const logps = await referenceLogps(policy, pairs, {
        onProgress: (done, total) => progress.advance(done, total, 'responses'),
      });
      policy.workspace.free();
      await run.folder.write(file(REFERENCE_LOGPS), packLogps(logps));
    },
  });
  const settings = { beta, ...trainingSettings(config, rows) };
  const asked: DpoConfig = { ...DPO_DEFAULTS, ...settings };
  const batches = async (): Promise<Batches> => {
    const before = earlierBatches(run.earlier(stage('train')), asked);
    if (before || (await run.hasAll(ADAPTER_FILES.map(file)))) return before ?? asked;
    const { policy, pairs } = await encoded();
    const fitted = await fitDpo(policy, loraSettings(config), pairs, asked);
    if (fitted.per_device_train_batch_size < asked.per_device_train_batch_size) {
      progress.say(
        `memory: room to train on ${fitted.per_device_train_batch_size} pairs at once, not ` +
          `${asked.per_device_train_batch_size}: a step takes ${fitted.gradient_accumulation_steps} batches`,
      );
    }
    return fitted;
  };
  const { per_device_train_batch_size, gradient_accumulation_steps } = await batches();
  const chosen = { ...settings, per_device_train_batch_size, gradient_accumulation_steps };
  const dpo: DpoConfig = { ...DPO_DEFAULTS, ...chosen };
  await runAdapterStage<TrainMetrics>(context, {
    name: stage('train'),
    file,
    settings: { ...base, ...chosen },
    note: `${rows.length} pairs`,
    prepare: async () => {
      const { policy, pairs } = await encoded();
      const reference = unpackLogps(await run.folder.read(file(REFERENCE_LOGPS)));
      const fitted = await fitDpo(policy, loraSettings(config), pairs, dpo, true);
      const { gradient_checkpointing, headLimits } = fitted;
      if (gradient_checkpointing && !dpo.gradient_checkpointing) {
        progress.say('memory: blocks are computed again in the backward pass, to make room');
      }
      return {
        policy,
        total: totalSteps(dpo, pairs.length),
        train: (hooks) =>
          trainDpo(
            { ...policy, headLimits },
            pairs,
            { ...dpo, gradient_checkpointing },
            { ...hooks, reference },
          ),
        told: ({ loss }) => `loss ${loss.toFixed(4)}`,
      };
    },
  });
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let value: Promise<T> | undefined;
  return () => {
    value ??= make();
    return value;
  };
}

/** The batches that this training was begun with, if a step learns from as many pairs as asked. */
function earlierBatches(settings: StageSettings | undefined, asked: Batches): Batches | undefined {
  const { per_device_train_batch_size, gradient_accumulation_steps } = (settings ?? {}) as Partial<Batches>;
  if (per_device_train_batch_size === undefined || gradient_accumulation_steps === undefined)
    return undefined;
  const step = per_device_train_batch_size * gradient_accumulation_steps;
  const smaller = per_device_train_batch_size <= asked.per_device_train_batch_size;
  return smaller && step === asked.per_device_train_batch_size * asked.gradient_accumulation_steps
    ? { per_device_train_batch_size, gradient_accumulation_steps }
    : undefined;
}

/** Settings of DPO training that the run's configuration holds under the same names. */
function trainingSettings(config: RunConfig, rows: readonly PairRow[]) {
  return {
    ...trainSettings(config),
    loss_type: dpoLoss(config),
    label_smoothing: config.label_smoothing,
    per_device_train_batch_size: config.per_device_train_batch_size ?? pairsPerBatch(rows),
  };
}

/** Different responses in a batch, unless the user set its size in pairs. */
export const RESPONSES_PER_BATCH = 64;

/** Pairs of so many whole prompts that a batch holds about RESPONSES_PER_BATCH different responses. */
function pairsPerBatch(rows: readonly PairRow[]): number {
  const groups = groupByPrompt(rows);
  const responses = groups.map(
    (group) => new Set(group.flatMap(({ chosen, rejected }) => [chosen, rejected])).size,
  );
  const prompts = Math.max(1, Math.floor(RESPONSES_PER_BATCH / Math.max(...responses)));
  return prompts * Math.max(...groups.map((group) => group.length));
}

/** A pair's tokens: those it was sampled as, else its text tokenized, ended by the end-of-sequence token as in TRL. */
function encodePair(policy: Policy, row: PairRow): PreferencePair {
  const { prompt_ids, chosen_ids, rejected_ids, label } = row;
  if (prompt_ids && chosen_ids && rejected_ids) {
    return { promptIds: prompt_ids, chosenIds: chosen_ids, rejectedIds: rejected_ids, label };
  }
  const promptIds = prompt_ids ?? encodePrompt(policy, row.prompt);
  const completion = (text: string) => encodeResponse(policy, row.prompt, promptIds, text, true);
  return { promptIds, chosenIds: completion(row.chosen), rejectedIds: completion(row.rejected), label };
}

/** Tokens of a pair's longer sequence. */
function lengthOf({ promptIds, chosenIds, rejectedIds }: PreferencePair): number {
  return promptIds.length + Math.max(chosenIds.length, rejectedIds.length);
}

function packLogps({ chosen, rejected }: ReferenceLogps): Uint8Array {
  return writeSafetensors([
    ['chosen', { shape: [chosen.length], data: chosen }],
    ['rejected', { shape: [rejected.length], data: rejected }],
  ]);
}

function unpackLogps(bytes: Uint8Array): ReferenceLogps {
  const { tensors } = parseSafetensors(bytes, REFERENCE_LOGPS);
  return { chosen: tensors.get('chosen')!.f32(), rejected: tensors.get('rejected')!.f32() };
}
