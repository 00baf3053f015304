import type { Example } from '../data/examples.ts';
import { sha256 } from '../data/hash.ts';
import type { Completion } from '../model/head.ts';
import type { Policy, PolicyOutline } from '../model/policy.ts';
import { once } from '../once.ts';
import { keyOf, Random } from '../random.ts';
import { SFT } from '../train/fit.ts';
import type { SftMetrics } from '../train/sft.ts';
import { type Split, trainSft } from '../train/trainer.ts';
import { needFor, type RunConfig } from './config.ts';
import type { ModelContext } from './context.ts';
import { encodeConversation, encodePrompt, encodeResponse } from './encode.ts';
import { runEpochs } from './epochs.ts';
import { checkWhole, productOf } from './products.ts';
import { asConversation } from './split.ts';
import { evaluationSettings, trainSettings } from './train_settings.ts';
import { summarizeTraining, type TrainingSummary } from './training_summary.ts';

/** Examples in a batch, unless the user set their number. */
const EXAMPLES_PER_BATCH = 16;

/** `dualign sft`: supervised fine-tuning on a file of examples. Writes adapter/ or model/, and metrics.jsonl. */
export async function sftAlone(context: ModelContext): Promise<TrainingSummary> {
  const { config, sources, progress } = context;
  const { policy: path, dataset } = needFor('sft', config, 'policy', 'dataset');
  checkWhole(config, 'sft');
  const source = sources.policy(path);
  const outline = await sources.outline(path);
  const rows = split(await sources.examples(dataset), config);
  const product = await productOf(context);
  const longest = Math.min(outline.maxLength, config.max_length ?? Infinity);
  const always = config.chat_template === 'always';
  const encode = (part: readonly Example[]) => {
    const all = part.map((row) => encodeExample(outline, always ? conversation(row) : row));
    const cut = all.map((completion) => cutTo(completion, longest)).filter((each) => each !== undefined);
    if (cut.length < all.length) {
      progress.say(`left out ${all.length - cut.length} examples without a token to learn within ${longest}`);
    }
    return cut;
  };
  await runEpochs<Completion, SftMetrics, Policy>(context, {
    name: 'sft',
    file: (name) => name,
    product,
    inputs: {
      policy: await source.hash(),
      device: await sources.engine(),
      examples: await sha256(JSON.stringify(rows)),
      ...(config.max_length === undefined ? {} : { max_length: config.max_length }),
    },
    settings: {
      ...trainSettings(config),
      ...(rows.evaluation.length > 0 ? evaluationSettings(config) : {}),
      per_device_train_batch_size: config.per_device_train_batch_size ?? EXAMPLES_PER_BATCH,
    },
    note: `${rows.train.length} examples, ${rows.evaluation.length} held out`,
    kind: SFT,
    outline,
    examples: once(async () => ({ train: encode(rows.train), evaluation: encode(rows.evaluation) })),
    train: trainSft,
    told: ({ loss }) => `loss ${loss.toFixed(4)}`,
  });
  return await summarizeTraining(context, 'sft');
}

/** Holds out a part of the examples, drawn by the seed; both parts keep the order of the file. */
function split(
  rows: readonly Example[],
  { eval_fraction = 0, seed }: Pick<RunConfig, 'eval_fraction' | 'seed'>,
): Split<Example> {
  const order = new Random(keyOf(seed, 'split')).shuffle(rows.map((_, index) => index));
  const held = new Set(order.slice(0, Math.min(rows.length - 1, Math.round(eval_fraction * rows.length))));
  return {
    train: rows.filter((_, index) => !held.has(index)),
    evaluation: rows.filter((_, index) => held.has(index)),
  };
}

function conversation(row: Example): Example {
  return 'prompt' in row ? { ...row, prompt: asConversation(row.prompt) } : row;
}

/** An example's tokens. All but the first of a text are learnt, as in TRL: nothing comes before that. */
function encodeExample(policy: PolicyOutline, row: Example): Completion {
  if ('prompt' in row) {
    const promptIds = encodePrompt(policy, row.prompt);
    return { promptIds, completionIds: encodeResponse(policy, row.prompt, promptIds, row.completion, true) };
  }
  const ids = 'text' in row ? encodeText(policy, row.text) : encodeConversation(policy, row.messages);
  return { promptIds: ids.slice(0, 1), completionIds: ids.slice(1) };
}

/** A text's tokens, ended by the end-of-sequence token where it does not end so itself. */
function encodeText({ tokenizer, endId }: PolicyOutline, text: string): number[] {
  const ids = tokenizer.encode(text);
  return endId === undefined || ids.at(-1) === endId ? ids : [...ids, endId];
}

/** The first `longest` tokens, as TRL cuts to max_length; nothing where none of a completion is among them. */
function cutTo({ promptIds, completionIds }: Completion, longest: number): Completion | undefined {
  const kept = completionIds.slice(0, Math.max(0, longest - promptIds.length));
  return kept.length > 0 ? { promptIds, completionIds: kept } : undefined;
}
