import { subfolder } from '../data/folder.ts';
import { parseJsonl, toJsonl } from '../data/jsonl.ts';
import { parseSafetensors, writeSafetensors } from '../data/safetensors.ts';
import { saveAdapter } from '../model/peft.ts';
import { addAdapter, type Policy } from '../model/policy.ts';
import { checkpointStep } from '../train/checkpoint.ts';
import { totalSteps } from '../train/config.ts';
import { type PreferencePair, type ReferenceLogps, referenceLogps } from '../train/dpo.ts';
import { DPO_DEFAULTS, type DpoConfig, type TrainMetrics, trainDpo } from '../train/trainer.ts';
import { ADAPTER, ADAPTER_FILES, CHECKPOINT, METRICS, PAIRS, REFERENCE_LOGPS } from './artefacts.ts';
import { loraSettings, need, type RunConfig } from './config.ts';
import type { Context } from './context.ts';
import { encodePrompt, encodeResponse } from './encode.ts';
import { groupByPrompt, type PairRow, parsePairRows } from './rows.ts';
import { readArtefact, runStage } from './stage.ts';

const METRICS_PARTIAL = `${METRICS}.partial`;

/** What an adapter learns from, and where in the run folder its files go. */
export interface TrainTarget {
  readonly rows: readonly PairRow[];
  /** sha-256 of the rows. */
  readonly hash: string;
  readonly beta: number;
  /** Name of its stages and folder of its files, where the run trains more than one adapter. */
  readonly part?: { readonly name: string; readonly folder: string };
}

/** MoCAN step 5: DPO on the pairs against the reference policy. Writes adapter/ (PEFT) and metrics.jsonl. */
export async function train(context: Context): Promise<void> {
  const { beta } = need(context.config, 'policy', 'beta');
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
  const encoded = async () => {
    const policy = await source.load();
    const all = rows.map((row) => encodePair(policy, row));
    const pairs = all.filter((pair) => lengthOf(pair) <= policy.maxLength);
    if (pairs.length < all.length) {
      progress.say(`left out ${all.length - pairs.length} pairs longer than ${policy.maxLength} tokens`);
    }
    return { policy, pairs };
  };
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
  const dpo: Partial<DpoConfig> = { beta, seed: config.seed, ...trainingSettings(config, rows) };
  const lora = loraSettings(config);
  await runStage(context, {
    name: stage('train'),
    settings: { ...base, ...dpo, ...lora },
    outputs: [...ADAPTER_FILES, METRICS].map(file),
    partials: [CHECKPOINT, METRICS_PARTIAL].map(file),
    note: `${rows.length} pairs, LoRA r ${lora.r}`,
    work: async () => {
      const { policy, pairs } = await encoded();
      const adapter = addAdapter(policy, lora, config.seed);
      const resume = (await run.folder.exists(file(CHECKPOINT)))
        ? await run.folder.read(file(CHECKPOINT))
        : undefined;
      const metrics = await resumeMetrics(
        context,
        file(METRICS_PARTIAL),
        resume ? checkpointStep(resume) : 0,
      );
      progress.advance(metrics.length, totalSteps({ ...DPO_DEFAULTS, ...dpo }, pairs.length), 'steps');
      await trainDpo(policy, pairs, dpo, {
        resume,
        reference: unpackLogps(await run.folder.read(file(REFERENCE_LOGPS))),
        onMetrics: async (row, total) => {
          metrics.push(row);
          await run.folder.append(file(METRICS_PARTIAL), toJsonl([row]));
          progress.advance(row.step, total, 'steps', `loss ${row.loss.toFixed(4)}`);
        },
        onCheckpoint: (checkpoint) => run.folder.write(file(CHECKPOINT), checkpoint),
      });
      policy.workspace.free();
      await saveAdapter(adapter, subfolder(run.folder, file(ADAPTER)), path);
      await run.folder.write(file(METRICS), toJsonl(metrics));
      await run.folder.remove(file(METRICS_PARTIAL));
      await run.folder.remove(file(CHECKPOINT));
    },
  });
}

/** Settings of DPO training that the run's configuration holds under the same names. */
function trainingSettings(config: RunConfig, rows: readonly PairRow[]) {
  const { learning_rate, lr_scheduler_type, warmup_ratio, num_train_epochs, save_steps } = config;
  const { gradient_accumulation_steps, weight_decay, max_grad_norm, warmup_steps } = config;
  const { loss_type, label_smoothing, gradient_checkpointing, group_by_length } = config;
  const per_device_train_batch_size = config.per_device_train_batch_size ?? pairsPerBatch(rows);
  return {
    learning_rate,
    loss_type,
    label_smoothing,
    lr_scheduler_type,
    warmup_steps,
    warmup_ratio,
    num_train_epochs,
    save_steps,
    per_device_train_batch_size,
    gradient_accumulation_steps,
    gradient_checkpointing,
    group_by_length,
    weight_decay,
    max_grad_norm,
  };
}

/** Different responses in a batch, unless the user set its size in pairs. */
const RESPONSES_PER_BATCH = 64;

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

/** Rows of the metrics up to the checkpoint's step: later ones will be made again. */
async function resumeMetrics({ run }: Context, partial: string, step: number): Promise<TrainMetrics[]> {
  const exists = step > 0 && (await run.folder.exists(partial));
  const text = exists ? await run.folder.readText(partial) : '';
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const rows = parseJsonl(whole, partial, (row) => row as TrainMetrics).slice(0, step);
  await run.folder.write(partial, toJsonl(rows));
  return rows;
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
