/** The half of parity_templates.py that renders with dualign: templates and conversations as JSON in, texts out. */
import { readFileSync } from 'node:fs';
import type { Message } from '../src/data/messages.ts';
import { ChatTemplate } from '../src/model/chat.ts';

interface Case {
  readonly name: string;
  readonly template: string;
  readonly conversations: readonly (readonly Message[])[];
}

const { cases, tokens } = JSON.parse(readFileSync(0, 'utf8')) as {
  cases: Case[];
  tokens: Record<string, string>;
};

function rendered(template: ChatTemplate, messages: readonly Message[], prompt: boolean): string | null {
  try {
    return template.render(messages, prompt);
  } catch (error) {
    console.error(String(error));
    return null;
  }
}

const texts = cases.map(({ name, template, conversations }) => {
  try {
    const compiled = new ChatTemplate(template, tokens, name);
    return conversations.map((messages) =>
      [false, true].map((prompt) => rendered(compiled, messages, prompt)),
    );
  } catch (error) {
    console.error(String(error));
    return conversations.map(() => [null, null]);
  }
});
process.stdout.write(JSON.stringify(texts));
