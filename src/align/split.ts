import { type Prompt, promptKey } from '../data/messages.ts';
import type { Judgement, Preference } from '../data/preferences.ts';
import { UserError } from '../errors.ts';
import { keyOf, Random } from '../random.ts';
import type { Split } from '../train/trainer.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';

export interface PromptSplit {
  readonly train: readonly Prompt[];
  readonly evaluation: readonly Prompt[];
}

/** The run's prompts: those the dual and training see, and those held out for evaluation. */
export async function loadPrompts(context: Context): Promise<PromptSplit> {
  const { config } = context;
  const { prompts: path } = need(config, 'prompts');
  const prompts = await readPrompts(context, path);
  if (config.eval_prompts !== undefined) {
    return { train: prompts, evaluation: await readPrompts(context, config.eval_prompts) };
  }
  const { eval_fraction = 0.25, seed } = config;
  if (eval_fraction === 0) {
    throw new UserError(
      '--eval-fraction: expected more than 0, for a run is measured on prompts held out, got 0',
    );
  }
  return splitPrompts(prompts, eval_fraction, seed, path);
}

/** The prompts of a file, in the form that the policy gets them. */
export async function readPrompts({ config, sources }: Context, path: string): Promise<readonly Prompt[]> {
  const prompts = await sources.prompts(path);
  return config.chat_template === 'always' ? prompts.map(asConversation) : prompts;
}

/** The preferences of a file, in the form that the policy gets them. */
export async function readPreferences(
  { config, sources }: Context,
  path: string,
  judgement: Judgement,
): Promise<readonly Preference[]> {
  const rows = await sources.preferences(path, judgement);
  if (config.chat_template !== 'always') return rows;
  return rows.map((row) => ({ ...row, prompt: asConversation(row.prompt) }));
}

/** Text as what a user says. */
export function asConversation(prompt: Prompt): Prompt {
  return typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
}

/** Holds out round(fraction · n) prompts, at least one, drawn by the seed; both parts keep the order of the file. */
export function splitPrompts(
  prompts: readonly Prompt[],
  fraction: number,
  seed: number,
  name: string,
  mends: readonly string[] = ['add prompts', 'give --eval-prompts'],
): PromptSplit {
  if (prompts.length < 2) {
    throw new UserError(
      `${name}: expected at least 2 prompts, to hold one out for evaluation, got ${prompts.length}`,
      2,
      mends,
    );
  }
  const order = new Random(keyOf(seed, 'split')).shuffle(prompts.map((_, index) => index));
  const count = Math.min(prompts.length - 1, Math.max(1, Math.round(fraction * prompts.length)));
  const held = new Set(order.slice(0, count));
  return {
    train: prompts.filter((_, index) => !held.has(index)),
    evaluation: prompts.filter((_, index) => held.has(index)),
  };
}

/** Holds out the rows of whole prompts, drawn as `splitPrompts` does; none where `fraction` is 0. */
export function splitRows<T>(
  rows: readonly T[],
  promptOf: (row: T) => Prompt,
  fraction: number,
  seed: number,
  name: string,
): Split<T> {
  if (fraction === 0) return { train: rows, evaluation: [] };
  const prompts = new Map(rows.map((row) => [promptKey(promptOf(row)), promptOf(row)]));
  const { evaluation } = splitPrompts([...prompts.values()], fraction, seed, name, [
    'add prompts',
    'say --eval-fraction 0',
  ]);
  const held = new Set(evaluation.map(promptKey));
  return {
    train: rows.filter((row) => !held.has(promptKey(promptOf(row)))),
    evaluation: rows.filter((row) => held.has(promptKey(promptOf(row)))),
  };
}
