import { encodePrompt } from '../../src/align/encode.ts';
import type { Message, Prompt } from '../../src/data/messages.ts';
import { UserError } from '../../src/errors.ts';
import { streamTokens } from '../../src/model/generate.ts';
import type { Policy } from '../../src/model/policy.ts';
import { keyOf } from '../../src/random.ts';
import type { Model } from '../shared/state.ts';
import type { AnswerJob, Results, Told } from './protocol.ts';

/** Shortest time between two messages with new text, in ms. */
const TELL_EVERY = 40;
/** Times that an answer is drawn, if others before were the same. */
const DRAWS = 6;
/** Answers to a question, for the numbers of their random streams. */
const ANSWERS = 2;

/** What the model is given: text in its own form, its conversation so far, or the bare question. */
export function promptOf({ form }: Model, policy: Policy, conversation: readonly Message[]): Prompt {
  const question = conversation.at(-1)!.content;
  if (form !== undefined) return form.replace('{}', () => question);
  return policy.chatTemplate ? conversation : question;
}

/** Answers a question, telling the text as it comes. An answer that has been given already is drawn again. */
export async function answer(
  policy: Policy,
  { model, settings, conversation, by, answers, given, seed }: AnswerJob,
  tell: (told: Told) => void,
  signal: AbortSignal,
): Promise<Results['answer']> {
  const prompt = promptOf(model, policy, conversation);
  const ids = encodePrompt(policy, prompt);
  const room = policy.maxLength - ids.length;
  if (room < 1) {
    throw new UserError(
      `The question and what was said before are ${ids.length} tokens long, and the model takes ${policy.maxLength}. Ask something shorter, or clear the chat.`,
    );
  }
  const texts = answers.map(() => '');
  const isNew = (place: number) => ![...given, ...texts.slice(0, place)].includes(texts[place]);
  let told = 0;
  let open = [...texts.keys()];
  for (let draw = 0; draw < DRAWS && open.length > 0 && !signal.aborted; draw++) {
    for (const place of open) texts[place] = '';
    const rows = open.map((place) => ({ ids, stream: [seed, answers[place] + ANSWERS * draw] as const }));
    const tokens = streamTokens(policy, rows, {
      maxNewTokens: Math.min(settings.max_new_tokens, room),
      key: keyOf(0, 'chat'),
      adapter: by === 'aligned',
    });
    for await (const { row, text } of tokens) {
      texts[open[row]] += text;
      if (performance.now() - told < TELL_EVERY) continue;
      tell({ kind: 'text', texts: [...texts] });
      await turn();
      if (signal.aborted) break;
      told = performance.now();
    }
    open = open.filter((place) => !isNew(place));
  }
  return { prompt, texts };
}

/** Lets messages in: on the CPU, tokens come without a pause. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
