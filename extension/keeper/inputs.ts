/** What learning is given: a copy of the judgements as they are now, so that later ones do not change work under way. */
import type { RunOptions } from '../../src/align/config.ts';
import { toJsonl } from '../../src/data/jsonl.ts';
import { type Prompt, promptKey } from '../../src/data/messages.ts';
import { parsePrompts } from '../../src/data/prompts.ts';
import { UserError } from '../../src/errors.ts';
import { PageFolder } from '../../src/host/page_storage.ts';
import { keyOf, Random } from '../../src/random.ts';
import { DEMO, GOALS, type Model, type Settings } from '../shared/state.ts';
import { HAZARD, INPUTS, KEPT_ASIDE } from '../work/protocol.ts';
import { type Judgements, toRows } from './judgements.ts';

/** Fewer of either goal, or of different questions, are refused. */
const LEAST = 4;
/** Steps that learning a goal takes, about, and most pairs in a step. */
const STEPS = 30;
const MOST_PAIRS = 56;
/** Most pairs that aligning makes of a question's answers. */
const MOST_OF_PROMPT = 28;

/** Questions that come with the model. */
export async function demoPrompts(): Promise<Prompt[]> {
  return parsePrompts(await demoText('prompts.jsonl'), 'prompts.jsonl');
}

export async function demoText(name: string): Promise<string> {
  return await (await fetch(`/demo/${name}`)).text();
}

/** Writes the inputs of a run, and returns its settings up to the scores. */
export async function prepareInputs(
  judgements: Judgements,
  model: Model,
  settings: Settings,
): Promise<RunOptions> {
  const folder = new PageFolder(INPUTS);
  for (const file of await folder.files()) await folder.remove(file);
  const sizes: number[] = [];
  for (const goal of GOALS) {
    const { learned, kept } = judgements.split(goal);
    if (learned.length < LEAST) {
      const what = goal === 'helpful' ? 'what helps' : 'what is safe';
      throw new UserError(
        `Judge at least ${LEAST} pairs of answers by ${what} first; there are ${learned.length}.`,
      );
    }
    await folder.write(`${goal}.jsonl`, toRows(learned));
    if (kept.length > 0) await folder.write(KEPT_ASIDE[goal], toRows(kept));
    sizes.push(learned.length);
  }
  const prompts = await promptsOf(judgements, model, settings.prompts);
  if (prompts.length < LEAST) {
    throw new UserError(
      `Judge answers to at least ${LEAST} different questions; there are ${prompts.length} so far.`,
    );
  }
  await folder.write('prompts.jsonl', toJsonl(prompts.map((prompt) => ({ prompt }))));
  const fewest = Math.min(...sizes);
  const batch = Math.min(MOST_PAIRS, Math.max(LEAST, Math.round((2 * fewest) / STEPS)));
  const { device, responses, max_new_tokens, beta, learning_rate } = settings;
  return {
    method: 'pecan',
    policy: model.path,
    prompts: `${INPUTS}/prompts.jsonl`,
    reward: `${INPUTS}/helpful.jsonl`,
    constraints: [{ scorer: `${INPUTS}/safe.jsonl`, cost: false }],
    device,
    responses,
    max_new_tokens,
    beta,
    learning_rate,
    per_device_train_batch_size: batch,
    num_train_epochs: Math.ceil(STEPS / Math.ceil(fewest / batch)),
    save_steps: 5,
  };
}

/** The settings of aligning, which follow those of learning: the same scores, and as many pairs a step as fit two questions. */
export function alignOptions(learned: RunOptions, margin: number, settings: Settings): RunOptions {
  const pairs = Math.min(MOST_OF_PROMPT, (settings.responses * (settings.responses - 1)) / 2);
  return {
    ...learned,
    limits: [{ kind: 'margin', value: margin }],
    pairs_per_prompt: pairs,
    per_device_train_batch_size: 2 * pairs,
    num_train_epochs: settings.num_train_epochs,
    // Rules that know the truth about its answers, and take no part in aligning it.
    ...(learned.policy === DEMO.path ? { measures: [{ scorer: HAZARD, cost: true }] } : {}),
  };
}

/** Different prompts of the judgements and of those that come with the model, drawn by chance where there are too many. */
async function promptsOf(judgements: Judgements, model: Model, most: number): Promise<Prompt[]> {
  const own = judgements.prompts();
  const random = new Random(keyOf(0, 'prompts'));
  const chosen = own.length > most ? random.shuffle(own).slice(0, most) : own;
  if (model.path !== DEMO.path || chosen.length === most) return chosen;
  const known = new Set(chosen.map(promptKey));
  const more = (await demoPrompts()).filter((prompt) => !known.has(promptKey(prompt)));
  return [...chosen, ...random.shuffle(more).slice(0, most - chosen.length)];
}
