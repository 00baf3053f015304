"""Tokens and text of tokenizers of each published kind, from Hugging Face's Rust library and from dualign, side by side.

    pip install tokenizers
    python bench/parity_tokenizers.py [--vocabulary N] TEXT_FILE …

Trains a byte-pair tokenizer of each kind on the text (the real ones are as large: 49152, 128000, 151643), with the
normalizer, splitting, special tokens and decoder of the published tokenizer.json, has bench/parity_tokenizers.ts encode and
decode pieces of the text, rare characters and random mixtures, and exits with 1 where an id or a character differs.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = dict(add_prefix_space=False, use_regex=False)


def begins_with(tokenizer, token):
    ids = [(token, tokenizer.token_to_id(token))]
    return processors.TemplateProcessing(single=f'{token} $A', special_tokens=ids)


def split(pattern):
    parts = [pre_tokenizers.Split(Regex(pattern), 'isolated', invert=False), pre_tokenizers.ByteLevel(**BYTES)]
    return pre_tokenizers.Sequence(parts)


def trained(text, size, pre_tokenizer, normalizer=None, special=(), model=models.BPE(), alphabet=()):
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), initial_alphabet=list(alphabet), show_progress=False)
    pieces = (text[i:i + 20_000] for i in range(0, len(text), 20_000))
    tokenizer.train_from_iterator(pieces, trainer)
    return tokenizer


ALPHABET = pre_tokenizers.ByteLevel.alphabet()


def qwen(text, size):
    tokenizer = trained(text, size, split(GPT4 % ''), normalizers.NFC(), alphabet=ALPHABET)
    tokenizer.add_special_tokens(['<|endoftext|>', '<|im_start|>', '<|im_end|>'])
    words = ['<tool_call>', '</tool_call>', '<|fim_prefix|>', '<think>', '</think>']
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in words])
    tokenizer.post_processor = processors.ByteLevel(**BYTES)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, {}


def llama3(text, size):
    tokenizer = trained(text, size, split(GPT4 % '{1,3}'), alphabet=ALPHABET)
    tokenizer.add_special_tokens(
        ['<|begin_of_text|>', '<|end_of_text|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'])
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(add_prefix_space=True), begins_with(tokenizer, '<|begin_of_text|>')])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, dict(ignore_merges=True)


def smollm2(text, size):
    parts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    special = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<repo_name>', '<file_sep>', '<empty_output>']
    tokenizer = trained(text, size, pre_tokenizers.Sequence(parts), special=special, alphabet=ALPHABET)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, {}


def nemo(text, size):
    special = ['<unk>', '<s>', '</s>', '[INST]', '[/INST]']
    tokenizer = trained(text, size, split(TEKKEN), special=special, alphabet=ALPHABET)
    tokenizer.post_processor = begins_with(tokenizer, '<s>')
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, dict(ignore_merges=True)


def llama2(text, size):
    special = ['<unk>', '<s>', '</s>'] + [f'<0x{byte:02X}>' for byte in range(256)]
    spaces = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    model = models.BPE(unk_token='<unk>', fuse_unk=True, byte_fallback=True)
    # Trained on words, as training on whole texts would merge them; published without a pre-tokenizer.
    words = pre_tokenizers.Split(Regex('▁*[^▁]+'), 'isolated', invert=False)
    tokenizer = trained(text, size, words, spaces, special, model)
    tokenizer.pre_tokenizer = None
    tokenizer.post_processor = begins_with(tokenizer, '<s>')
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(' ', 1, 0)])
    return tokenizer, {}


KINDS = {'Qwen2, Qwen2.5, Qwen3': qwen, 'Llama 3': llama3, 'SmolLM2': smollm2, 'Mistral Nemo': nemo, 'Llama 2': llama2}

TEXTS = [
    '', ' ', '\n', 'Hello world', "I'll we'RE they'Ve it'S don't İ'LL ſ's", "'s 't 're 'S 'T 'RE'VE", ' , . ! ? do n\'t',
    '  leading and   inner  \n\n  new lines\r\n\r\n\ttabs\t\t', 'x\r\ny\rz\n\r', '\n' * 40 + ' ' * 40 + 'x', '\u0000\u0001\x7f',
    '1234567890 3.14159 1,000,000 ٣٤٥ ²³ ⅷ', '½ ¼ Ⅳ ① 一二三 ４５', 'def f(x):\n    return x**2  # comment\n\n\nclass A:\n\tpass\n',
    'Füße naïve e\u0301 ö Å ﬁ \u212b \u1e9b\u0323 \u0344', '東京は日本の首都です。你好，世界！한국어', '👩‍👩‍👧‍👦 🇩🇪 👍🏽 😀😀 𝒜𝓑 𐍈',
    'مرحبا بالعالم שלום हिन्दी ไทย', '\u200b\u200d\ufeffx\u00a0y\u2028z\u3000w', 'a' * 300, '!' * 100, 'CamelCase_and-kebab/path\\to?x=1&y=2#z',
    '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n', '<|im_end', ' <|im_end|> ',
    '<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>', '<s>[INST] Hi [/INST] Hello</s>',
    '<|endoftext|>a<|endoftext|> <|endoftext|>', '<tool_call>\n{"name": "f"}\n</tool_call>', '<repo_name>a/b<file_sep>c<0x0A>',
]


def texts(corpus, generator):
    """The texts above, mixtures of awkward characters, characters of all Unicode, and pieces of the corpus."""
    pool = 'aB1 \n\t\'.,!-_(){}<>|/\\éßЖ中あ😀\u0301\u200d①²'
    known = [chr(code) for code in range(0x21, 0x30000) if unicodedata.category(chr(code)) not in ('Cs', 'Cn')]
    yield from TEXTS
    for alphabet in (pool, known):
        for _ in range(300):
            yield ''.join(generator.choices(alphabet, k=generator.randint(1, 60)))
    for _ in range(300):
        start = generator.randrange(max(1, len(corpus) - 2000))
        yield corpus[start:start + generator.randint(50, 2000)]
    yield corpus[:1_000_000]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--vocabulary', type=int, default=8000)
    parser.add_argument('text', nargs='+', type=pathlib.Path)
    given = parser.parse_args()
    corpus = '\n'.join(path.read_text(errors='ignore') for path in given.text)
    root = pathlib.Path(tempfile.mkdtemp(prefix='tokenizers-'))
    print(f'tokenizers {tokenizers.__version__}, {len(corpus)} characters of text')
    for number, (name, make) in enumerate(KINDS.items()):
        tokenizer, changes = make(corpus, given.vocabulary)
        content = json.loads(tokenizer.to_str())
        content['model'].update(changes)
        folder = root / str(number)
        folder.mkdir()
        (folder / 'tokenizer.json').write_text(json.dumps(content))
        # As Llama 3's has it; transformers does not apply it to byte-pair tokenizers.
        (folder / 'tokenizer_config.json').write_text(json.dumps(dict(clean_up_tokenization_spaces=True)))
        tokenizer = Tokenizer.from_file(str(folder / 'tokenizer.json'))
        cases = []
        start = time.perf_counter()
        for text in texts(corpus, random.Random(1)):
            ids = tokenizer.encode(text).ids
            plain = tokenizer.encode(text, add_special_tokens=False).ids
            decoded = [tokenizer.decode(plain, skip_special_tokens=skip) for skip in (True, False)]
            # A response begins anywhere.
            part = tokenizer.decode(plain[1:-1])
            cases.append(dict(text=text, ids=ids, plain=plain, decoded=decoded, part=part))
        seconds = time.perf_counter() - start
        expected = dict(name=name, size=tokenizer.get_vocab_size(), seconds=seconds, cases=cases)
        (folder / 'expected.json').write_text(json.dumps(expected))
    driver = pathlib.Path(__file__).with_suffix('.ts')
    sys.exit(subprocess.run(['node', str(driver), str(root)]).returncode)


if __name__ == '__main__':
    main()
