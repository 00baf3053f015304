import { parseSafetensors, writeSafetensors } from '../data/safetensors.ts';
import type { Policy, PolicyOutline } from '../model/policy.ts';
import { once } from '../once.ts';
import { type DpoMetrics, type PreferencePair, type ReferenceLogps, referenceLogps } from '../train/dpo.ts';
import { DPO } from '../train/fit.ts';
import { type DpoConfig, type Split, trainDpo } from '../train/trainer.ts';
import { REFERENCE_LOGPS } from './artefacts.ts';
import { dpoLoss, need } from './config.ts';
import type { Context } from './context.ts';
import { encodePrompt, encodeResponse } from './encode.ts';
import { runEpochs } from './epochs.ts';
import type { Product } from './products.ts';
import { groupByPrompt, type PairRow } from './rows.ts';
import { runStage } from './stage.ts';
import { evaluationSettings, trainSettings } from './train_settings.ts';

/** What is learnt from pairs, and where in the run folder its files go. */
export interface PairTarget {
  readonly rows: readonly PairRow[];
  /** Rows held out, to be evaluated on. */
  readonly held?: readonly PairRow[];
  /** sha-256 of the rows. */
  readonly hash: string;
  readonly beta: number;
  readonly product: Product;
  /** Of its stages, and the folder of its files, where it is not the run's one training. */
  readonly name?: string;
  readonly folder?: string;
}

/** DPO on preference pairs against the reference policy. */
export async function trainPairs(context: Context, target: PairTarget): Promise<void> {
  const { run, config, sources, progress } = context;
  const { policy: path } = need(config, 'policy');
  const { rows, held = [], beta, name, folder, product } = target;
  const loss_type = dpoLoss(config);
  const stage = (part: string) => (name ? `${name}: ${part}` : part);
  const file = (part: string) => (folder ? `${folder}/${part}` : part);
  const source = sources.policy(path);
  const outline = await sources.outline(path);
  const base = {
    policy: await source.hash(),
    device: await sources.engine(),
    pairs: target.hash,
    ...(config.max_length === undefined ? {} : { max_length: config.max_length }),
  };
  const encode = (part: readonly PairRow[]) => {
    const most = Math.min(outline.maxLength, config.max_length ?? Infinity);
    const all = part.map((row) => encodePair(outline, row));
    const pairs = all.filter((pair) => lengthOf(pair) <= most);
    if (pairs.length < all.length) {
      progress.say(`left out ${all.length - pairs.length} pairs longer than ${most} tokens`);
    }
    return pairs;
  };
  const examples = once(async () => ({ train: encode(rows), evaluation: encode(held) }));
  const computeReference = () =>
    runStage(context, {
      name: stage('reference log-probs'),
      settings: base,
      outputs: [file(REFERENCE_LOGPS)],
      note: `${rows.length + held.length} pairs`,
      work: async () => {
        const { train, evaluation } = await examples();
        const policy = await source.load();
        const logps = await referenceLogps(policy, [...train, ...evaluation], {
          onProgress: (done, total) => progress.advance(done, total, 'responses'),
        });
        policy.workspace.free();
        await run.folder.write(file(REFERENCE_LOGPS), packLogps(logps));
      },
    });
  const settings = {
    ...trainSettings(config),
    ...(held.length > 0 ? evaluationSettings(config) : {}),
    beta,
    loss_type,
    label_smoothing: config.label_smoothing,
    per_device_train_batch_size: config.per_device_train_batch_size ?? pairsPerBatch(rows),
  };
  await runEpochs<PreferencePair, DpoMetrics, Policy>(context, {
    name: stage('train'),
    file,
    product,
    inputs: base,
    settings,
    note: `${rows.length} pairs`,
    kind: DPO,
    outline,
    examples,
    first: computeReference,
    train: async (policy, split, fitted, hooks, trainable) => {
      const logps = unpackLogps(await run.folder.read(file(REFERENCE_LOGPS)));
      const [reference, evaluationReference] = splitLogps(logps, split);
      const dpo: Partial<DpoConfig> = { ...settings, ...fitted };
      await trainDpo(policy, split, dpo, { ...hooks, reference, evaluationReference }, trainable);
    },
    told: ({ loss }) => `loss ${loss.toFixed(4)}`,
  });
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
function encodePair(policy: PolicyOutline, row: PairRow): PreferencePair {
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

/** Those of the pairs to learn from, and of those held out. */
function splitLogps(
  { chosen, rejected }: ReferenceLogps,
  { train: { length } }: Split<PreferencePair>,
): [ReferenceLogps, ReferenceLogps] {
  return [
    { chosen: chosen.slice(0, length), rejected: rejected.slice(0, length) },
    { chosen: chosen.slice(length), rejected: rejected.slice(length) },
  ];
}
