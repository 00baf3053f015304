import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import type { Folder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import type { Message } from '../data/messages.ts';
import { messageOf, UserError } from '../errors.ts';
import { contentOf } from './tokenizer.ts';

const TEMPLATE = 'chat_template.jinja';

/** The day that templates are told: what a prompt says must not hang on when it is read. Llama 3.2's own default. */
const TODAY = { day: '26', month: 'July', number: '07', year: '2024', weekday: 'Friday' };

const DATE_FIELDS: Readonly<Record<string, string>> = {
  Y: TODAY.year,
  y: TODAY.year.slice(2),
  m: TODAY.number,
  d: TODAY.day,
  B: TODAY.month,
  b: TODAY.month.slice(0, 3),
  A: TODAY.weekday,
  a: TODAY.weekday.slice(0, 3),
  H: '00',
  M: '00',
  S: '00',
};

/** What transformers gives every template; Template of the Jinja library would give it today's date. */
const GLOBALS = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range: (first: number, end?: number, step = 1): number[] => {
    const [start, stop] = end === undefined ? [0, first] : [first, end];
    return Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, i) => start + i * step);
  },
  raise_exception: (text: string) => {
    throw new Error(text);
  },
  strftime_now: (format: string) =>
    format.replace(/%(\w)/g, (whole, field: string) => DATE_FIELDS[field] ?? whole),
};

/** Settings of a template's own, such as enable_thinking of Qwen3's, as `apply_chat_template` of transformers takes them. */
export type TemplateKwargs = Readonly<Record<string, unknown>>;

/** Turns conversations into the text that a model was trained on: the Jinja template of its folder. */
export class ChatTemplate {
  #program: ReturnType<typeof parse>;
  #tokens: Readonly<Record<string, string>>;
  #kwargs: TemplateKwargs;
  #name: string;

  /**
   * `tokens` are special tokens by the names that templates use, such as bos_token; `name` stands in errors; `kwargs` are
   * settings of the template's own.
   */
  constructor(
    source: string,
    tokens: Readonly<Record<string, string>>,
    name: string,
    kwargs: TemplateKwargs = {},
  ) {
    this.#tokens = tokens;
    this.#name = name;
    this.#kwargs = kwargs;
    const words = new Set(source.match(/\w+/g));
    for (const key of Object.keys(kwargs)) {
      if (words.has(key)) continue;
      throw new UserError(
        `${name}: expected settings that the chat template has, got ${key}, which is not in it`,
      );
    }
    try {
      this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    } catch (error) {
      throw new UserError(`${name}: expected a Jinja template (${messageOf(error)})`);
    }
  }

  /** The text of a conversation; with `addGenerationPrompt`, up to where the assistant's answer begins. */
  render(messages: readonly Message[], addGenerationPrompt: boolean): string {
    try {
      const environment = new Environment();
      const variables = {
        ...GLOBALS,
        ...this.#tokens,
        ...this.#kwargs,
        messages: messages.map((message) => ({ ...message })),
        add_generation_prompt: addGenerationPrompt,
      };
      for (const [name, value] of Object.entries(variables)) environment.set(name, value);
      return String(new Interpreter(environment).run(this.#program).value);
    } catch (error) {
      const roles = messages.map(({ role }) => role).join(', ');
      throw new UserError(
        `${this.#name}: the chat template failed on a conversation of ${roles} (${messageOf(error)})`,
      );
    }
  }
}

/**
 * The template of a Hugging Face folder: `given`, else chat_template.jinja, else chat_template of
 * tokenizer_config.json, of several the one named default. Undefined when there is none.
 */
export async function loadChatTemplate(
  folder: Folder,
  given?: string,
  kwargs?: TemplateKwargs,
): Promise<ChatTemplate | undefined> {
  const hasConfig = await folder.exists('tokenizer_config.json');
  const config = hasConfig ? await readJsonObject(folder, 'tokenizer_config.json') : {};
  const tokens = specialTokens(config);
  if (given !== undefined) return new ChatTemplate(given, tokens, '--chat-template', kwargs);
  if (await folder.exists(TEMPLATE)) {
    return new ChatTemplate(await folder.readText(TEMPLATE), tokens, `${folder.name}/${TEMPLATE}`, kwargs);
  }
  const name = `${folder.name}/tokenizer_config.json`;
  const source = templateOf(config.chat_template, name);
  if (source !== undefined) return new ChatTemplate(source, tokens, name, kwargs);
  if (kwargs === undefined || Object.keys(kwargs).length === 0) return undefined;
  throw new UserError(`${folder.name}: expected a chat template for the settings given to it, found none`);
}

function templateOf(value: unknown, name: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  const named = Array.isArray(value) ? (value as { name?: unknown; template?: unknown }[]) : [];
  const template = named.find((each) => each?.name === 'default')?.template;
  if (typeof template !== 'string') {
    throw new UserError(
      `${name}: expected chat_template as a template or a list with one named default, got ${JSON.stringify(value).slice(0, 60)}`,
    );
  }
  return template;
}

/** bos_token, eos_token and the like, each a string or an object with its content. */
function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    if (!key.endsWith('_token')) continue;
    const content = contentOf(value);
    if (content !== undefined) tokens[key] = content;
  }
  return tokens;
}
