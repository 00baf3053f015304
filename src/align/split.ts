import type { Prompt } from '../data/messages.ts';
import { UserError } from '../errors.ts';
import { keyOf, Random } from '../random.ts';
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
  return splitPrompts(prompts, config.eval_fraction, config.seed, path);
}

/** The prompts of a file, in the form that the policy gets them. */
export async function readPrompts({ config, sources }: Context, path: string): Promise<readonly Prompt[]> {
  const prompts = await sources.prompts(path);
  return config.chat_template === 'always' ? prompts.map(asConversation) : prompts;
}

/** Text as what a user says. */
function asConversation(prompt: Prompt): Prompt {
  return typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
}

/** Holds out round(fraction · n) prompts, at least one, drawn by the seed; both parts keep the order of the file. */
export function splitPrompts(
  prompts: readonly Prompt[],
  fraction: number,
  seed: number,
  name: string,
): PromptSplit {
  if (prompts.length < 2) {
    throw new UserError(
      `${name}: expected at least 2 prompts, to hold one out for evaluation, got ${prompts.length}; add prompts or give --eval-prompts`,
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
