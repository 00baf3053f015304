import type { Message, Prompt } from '../../src/data/messages.ts';
import { UserError } from '../../src/errors.ts';
import { keyOf, Random } from '../../src/random.ts';
import type { Model, State, Turn } from '../shared/state.ts';
import type { AnswerJob } from '../work/protocol.ts';

/** The conversation up to a question, with the better answer of each turn before it, the first where none was judged so. */
function conversationBefore(turns: readonly Turn[], id: number): Message[] {
  const messages: Message[] = [];
  for (const turn of turns) {
    messages.push({ role: 'user', content: turn.question });
    if (turn.id === id) break;
    const better = turn.judged.helpful === 1 ? 1 : 0;
    const answer = turn.answers[better] ?? turn.answers[0];
    if (answer) messages.push({ role: 'assistant', content: answer.text.trim() });
    else messages.pop();
  }
  return messages;
}

/** What was asked, in words to ask again; undefined where a prompt is not of the model's own form. */
function questionOf({ form }: Model, prompt: Prompt): string | undefined {
  if (typeof prompt !== 'string') return prompt.length === 1 ? prompt[0].content : undefined;
  if (form === undefined) return prompt;
  const [before, after] = form.split('{}');
  const fits = prompt.startsWith(before) && prompt.endsWith(after);
  return fits ? prompt.slice(before.length, prompt.length - after.length) : undefined;
}

/** A question among prompts, one that was not asked yet where there is one. */
export function sampleQuestion({ model, turns }: State, prompts: readonly Prompt[]): string {
  const questions = prompts
    .map((prompt) => questionOf(model, prompt))
    .filter((question) => question !== undefined);
  const asked = new Set(turns.map(({ question }) => question));
  const fresh = questions.filter((question) => !asked.has(question));
  const choice = fresh.length > 0 ? fresh : questions;
  if (choice.length === 0) throw new UserError('There are no sample questions for this model: ask your own.');
  const random = new Random(keyOf(0, 'sample question'), turns.at(-1)?.id ?? 0);
  return choice[random.below(choice.length)];
}

/** The job of answering a turn's question, with answers of these numbers. */
export function answerJob(
  { model, settings, answersBy: by, turns }: State,
  turn: Turn,
  numbers: readonly number[],
): AnswerJob {
  return {
    kind: 'answer',
    model,
    settings,
    conversation: conversationBefore(turns, turn.id),
    by,
    answers: numbers,
    given: turn.answers.map(({ text }) => text),
    seed: seedOf(turn),
  };
}

/** Every question draws anew. */
function seedOf({ id, question }: Turn): number {
  let hash = id;
  for (const letter of question) hash = (Math.imul(hash, 31) + letter.codePointAt(0)!) | 0;
  return hash >>> 0;
}
