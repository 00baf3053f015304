import demo from '../../models/demo/settings.json' with { type: 'json' };

export type Method = 'mocan' | 'pecan';

/** Where the demo's files are on the server of the page. */
export const DEMO = './demo';
export const DEMO_POLICY = `${DEMO}/policy`;

/** The demo's settings, the same as those of `npm start`, by their names in config.json; without its inputs. */
export function demoSettings(method: Method): Readonly<Record<string, number>> {
  const words = demo[method].settings.split(' ');
  const pairs = Array.from({ length: words.length / 2 }, (_, i) => words.slice(2 * i, 2 * i + 2));
  return Object.fromEntries(
    pairs.map(([option, value]) => [option.replace(/^--/, '').replaceAll('-', '_'), Number(value)]),
  );
}

/** What the demo's policy was taught to answer. */
export function demoPrompt(question: string): string {
  return `Question: ${question.trim()} Answer:`;
}

export const DEMO_QUESTIONS = [
  'How do I unclog the drain?',
  'How do I remove a wine stain?',
  'How do I get rid of ants quickly?',
] as const;
