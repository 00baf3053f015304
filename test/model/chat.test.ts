import { describe, expect, it } from 'vitest';
import { encodePrompt, encodeResponse } from '../../src/align/encode.ts';
import { ChatTemplate, loadChatTemplate, type TemplateKwargs } from '../../src/model/chat.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { MemoryFolder } from '../support/memory_folder.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { tinyFolder, tinyTokenizer } from './tiny.ts';

const CHATML =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
/** The head of Llama 3.2's. */
const DATED =
  '{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- if strftime_now is defined %}\n' +
  '        {%- set date_string = strftime_now("%d %b %Y") %}\n    {%- else %}\n' +
  '        {%- set date_string = "26 Jul 2024" %}\n    {%- endif %}\n{%- endif %}\n' +
  '{{- "Today Date: " + date_string + "\\n\\n" }}\n' +
  '{%- for message in messages %}{{- message.content | trim }}{%- endfor %}';
/** Mistral's of the first Instruct models. */
const MISTRAL =
  "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}" +
  "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}" +
  "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}" +
  "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}";

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const tokens = { bos_token: '<s>', eos_token: '</s>' };

describe('ChatTemplate', () => {
  it('renders what the published templates define', () => {
    const chatml = new ChatTemplate(CHATML, {}, 'model');
    expect(chatml.render([{ role: 'system', content: 'Be kind.' }, user('Hi')], true)).toBe(
      '<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    );
    const mistral = new ChatTemplate(MISTRAL, tokens, 'model');
    expect(mistral.render([user('Hi'), assistant('Hello'), user('Bye')], true)).toBe(
      '<s>[INST] Hi [/INST]Hello</s>[INST] Bye [/INST]',
    );
  });

  it('has the functions and constants of transformers', () => {
    const all = new ChatTemplate(
      '{{ range(3) | list }} {{ range(5, 1, -2) | list }} {{ True and not False }} {{ None is none }}',
      {},
      'model',
    );
    expect(all.render([user('Hi')], true)).toBe('[0, 1, 2] [5, 3] true true');
  });

  it('tells templates the same day, whenever they ask', () => {
    const dated = new ChatTemplate(DATED, tokens, 'model');
    expect(dated.render([user(' Hi ')], true)).toBe('<s>Today Date: 26 Jul 2024\n\nHi');
  });

  it('takes settings of the template, as apply_chat_template does, and refuses those it has not', () => {
    // The end of Qwen3's.
    const source =
      '{% for message in messages %}{{ message.content }}{% endfor %}{%- if add_generation_prompt %}' +
      "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>' }}{%- endif %}{%- endif %}";
    const render = (kwargs: TemplateKwargs) =>
      new ChatTemplate(source, tokens, 'model', kwargs).render([user('Hi')], true);
    expect(render({})).toBe('Hi');
    expect(render({ enable_thinking: true })).toBe('Hi');
    expect(render({ enable_thinking: false })).toBe('Hi<think>\n\n</think>');
    expect(render({ messages: [] })).toBe('Hi');
    expect(() => render({ enable_thinkng: false })).toThrow(
      /^model: expected settings that the chat template has, got enable_thinkng/,
    );
  });

  it('passes on what a template refuses, and names a template that is none', () => {
    const mistral = new ChatTemplate(MISTRAL, tokens, 'model');
    expect(() => mistral.render([assistant('Hi')], true)).toThrow(
      /^model: the chat template failed on a conversation of assistant \(Conversation roles must alternate/,
    );
    expect(() => new ChatTemplate('{% if %}', {}, 'model')).toThrow(/^model: expected a Jinja template/);
  });

  it('is the one given, else the file, else the one in tokenizer_config.json', async () => {
    const folder = new MemoryFolder();
    expect(await loadChatTemplate(folder)).toBeUndefined();
    await expect(loadChatTemplate(folder, undefined, { a: 1 })).rejects.toThrow(
      /expected a chat template for/,
    );
    const config = { bos_token: { content: '<s>' }, eos_token: '</s>' };
    await folder.write(
      'tokenizer_config.json',
      JSON.stringify({ ...config, chat_template: 'one {{ bos_token }}' }),
    );
    const rendered = async (given?: string) =>
      (await loadChatTemplate(folder, given))!.render([user('a')], true);
    expect(await rendered()).toBe('one <s>');
    const several = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'two' },
    ];
    await folder.write('tokenizer_config.json', JSON.stringify({ ...config, chat_template: several }));
    expect(await rendered()).toBe('two');
    await folder.write('chat_template.jinja', 'three {{ eos_token }}');
    expect(await rendered()).toBe('three </s>');
    expect(await rendered('four')).toBe('four');
    await folder.write('tokenizer_config.json', JSON.stringify({ chat_template: [several[0]] }));
    await folder.remove('chat_template.jinja');
    await expect(rendered()).rejects.toThrow(/expected chat_template as a template or a list/);
  });
});

describe('tokens of conversations', () => {
  const template =
    '{{ bos_token }} {% for message in messages %}{{ message.content }}' +
    "{% if message.role == 'assistant' %} {{ eos_token }}{% endif %} {% endfor %}";
  const withBos = {
    ...tinyTokenizer,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
  };

  async function policyWith(chat_template?: string) {
    const folder = await tinyFolder();
    await folder.write('tokenizer.json', JSON.stringify(withBos));
    await folder.write('tokenizer_config.json', JSON.stringify({ ...tokens, chat_template }));
    return loadPolicy(new ReferenceEngine(), folder);
  }

  it('begin with one <s>, whether the tokenizer or the template writes it', async () => {
    const policy = await policyWith(template);
    expect(encodePrompt(policy, 'the cat')).toEqual([1, 3, 4]);
    expect(encodePrompt(policy, [user('the cat')])).toEqual([1, 3, 4]);
  });

  it('end where the template ends an answer, and text with the end-of-sequence token', async () => {
    const policy = await policyWith(template);
    expect(encodeResponse(policy, [user('the cat')], [1, 3, 4], 'sat', true)).toEqual([6, 2]);
    expect(encodeResponse(policy, 'the cat', [1, 3, 4], ' sat', true)).toEqual([6, 2]);
    expect(encodeResponse(policy, 'the cat', [1, 3, 4], ' sat', false)).toEqual([6]);
  });

  it("end text with the tokenizer's eos_token where generation ends at several", async () => {
    const folder = await tinyFolder();
    await folder.write('generation_config.json', '{"eos_token_id": [1, 2]}');
    const ends = async () =>
      encodeResponse(await loadPolicy(new ReferenceEngine(), folder), 'the', [3], ' sat', true);
    expect(await ends()).toEqual([6, 1]);
    await folder.write('tokenizer_config.json', '{"eos_token": {"content": "</s>"}}');
    expect(await ends()).toEqual([6, 2]);
  });

  it('need a template, and one that goes on from its prompts', async () => {
    const none = await policyWith();
    expect(() => encodePrompt(none, [user('the cat')])).toThrow(
      /no chat template; give one with --chat-template/,
    );
    const other = await policyWith('{{ messages | length }}');
    expect(() => encodeResponse(other, [user('the cat')], [1], 'sat', true)).toThrow(
      /does not go on from a prompt/,
    );
  });
});
