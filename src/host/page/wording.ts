import { type Advice, adviceText, messageOf, UserError } from '../../errors.ts';

/**
 * How a page calls settings: by the command's option, such as `--responses`, or by it and a value, such as
 * `--device webgpu`, where the page has a name for that.
 */
export type Words = Readonly<Record<string, string>>;

const OPTION = /(--[a-z][a-z-]*)( \w+)?/g;

/** A page's words for fields that are named as a run's settings. */
export function wordsOf(fields: readonly { readonly name: string; readonly label: string }[]): Words {
  return Object.fromEntries(
    fields.map(({ name, label }) => [`--${name.replaceAll('_', '-')}`, `“${label}”`]),
  );
}

/** Advice as a page gives it: its words for settings, without ways to mend that it does not offer. */
export function inWords({ what, mend }: Advice, words: Words): string {
  const isOffered = (text: string) =>
    [...text.matchAll(OPTION)].every(([both, option]) => both in words || option in words);
  const say = (text: string) =>
    text.replaceAll(OPTION, (both: string, option: string, value = '') =>
      both in words ? words[both] : `${words[option] ?? option.slice(2).replaceAll('-', ' ')}${value}`,
    );
  return adviceText({ what: say(what), mend: mend.filter(isOffered).map(say) });
}

/** Any error as a page shows it. */
export function errorInWords(error: unknown, words: Words): string {
  return error instanceof UserError ? inWords(error, words) : messageOf(error);
}
