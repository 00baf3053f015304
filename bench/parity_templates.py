"""Conversations in the chat templates of published models, as transformers renders them and as dualign does.

    pip install 'transformers>=5' jinja2 trl
    python bench/parity_templates.py [TEMPLATE.jinja …]

Takes the templates of text that TRL carries (Qwen, Llama 3, Gemma, Phi, …) and the files given; exits with 1 where a text
differs, or where one side refuses a conversation that the other takes. What both refuse, such as a system message in Gemma's, is
counted.
"""

import datetime
import json
import pathlib
import subprocess
import sys

import transformers
import trl
from transformers.utils import chat_template_utils

TOKENS = dict(bos_token='<s>', eos_token='</s>', pad_token='<pad>', unk_token='<unk>')


def turns(*contents, system=None):
    roles = [dict(role=('user', 'assistant')[i % 2], content=text) for i, text in enumerate(contents)]
    return ([dict(role='system', content=system)] if system is not None else []) + roles


CONVERSATIONS = [
    turns('Hi'),
    turns('Hi', system='Be kind.'),
    turns('Hi', 'Hello!', 'Who are you?', system='You are\n  a pirate. \n'),
    turns('What is 2 + 2?', '4', 'And 3 + 3?', '6'),
    turns('  spaces around  \n', '\n\nand lines\n', 'end'),
    turns('{{ not a template }} {% raw %} <|im_end|> <s>', 'fine'),
    turns('Füße, 東京, 👩‍👩‍👧, \u0301 "quoted" \\back\\ <b>&amp;</b>', 'ok é\t.'),
    turns('Think', '<think>\nLet me see.\n</think>\n\nDone.', 'Again', '<think>\n\n</think>\n\nDone.'),
    turns('Think', '<think>\nOnly thoughts'),
    # Not an empty system message: Llama 2's template asks whether it != false, which @huggingface/jinja 0.5.11 answers
    # with no for an empty text, as JavaScript does.
    turns('', ''),
]


class FixedDay(datetime.datetime):
    """The day that dualign tells templates."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, tzinfo=tz)


def expected(template, messages, prompt):
    try:
        (text,), _ = chat_template_utils.render_jinja_template(
            [messages], chat_template=template, add_generation_prompt=prompt, **TOKENS)
        return text
    except Exception as error:  # whatever a template raises
        print(f'transformers: {error}', file=sys.stderr)
        return None


def main():
    chat_template_utils.datetime = FixedDay
    files = sorted((pathlib.Path(trl.__file__).parent / 'chat_templates').glob('*.jinja'))
    files += [pathlib.Path(name) for name in sys.argv[1:]]
    cases = [dict(name=file.name, template=file.read_text(), conversations=CONVERSATIONS) for file in files]
    # Templates of models that see want content in parts, and write none that is text.
    cases = [case for case in cases if 'Hi' in (expected(case['template'], turns('Hi'), True) or 'Hi')]
    driver = pathlib.Path(__file__).with_suffix('.ts')
    given = json.dumps(dict(cases=cases, tokens=TOKENS))
    run = subprocess.run(['node', str(driver)], input=given, stdout=subprocess.PIPE, text=True, check=True)
    print(f'transformers {transformers.__version__}, templates of trl {trl.__version__}')
    failed = False
    for case, found in zip(cases, json.loads(run.stdout)):
        wrong = refused = 0
        for messages, texts in zip(CONVERSATIONS, found):
            for prompt, text in zip((False, True), texts):
                wanted = expected(case['template'], messages, prompt)
                refused += wanted is None and text is None
                if wanted != text:
                    wrong += 1
                    print(f'  {messages}\n  transformers {wanted!r}\n  dualign      {text!r}')
        failed |= wrong > 0
        print(f"{'FAIL' if wrong else 'ok  '} {case['name']}: {2 * len(CONVERSATIONS)} texts, {wrong} differ, {refused} refused by both")
    sys.exit(failed)


if __name__ == '__main__':
    main()
