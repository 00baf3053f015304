import type { Message, Prompt } from '../../src/data/messages.ts';
import type { Model, Turn } from '../shared/state.ts';

/** The conversation up to a question, with the better answer of each turn before it, the first where none was judged so. */
export function conversationBefore(turns: readonly Turn[], id: number): Message[] {
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
export function questionOf({ form }: Model, prompt: Prompt): string | undefined {
  if (typeof prompt !== 'string') return prompt.length === 1 ? prompt[0].content : undefined;
  if (form === undefined) return prompt;
  const [before, after] = form.split('{}');
  const fits = prompt.startsWith(before) && prompt.endsWith(after);
  return fits ? prompt.slice(before.length, prompt.length - after.length) : undefined;
}
