"""A whole model's greedy answer in transformers and from `dualign generate`: the prompt's tokens, those of the answer, and
their log-probabilities.

    pip install torch 'transformers>=5'
    node build.mjs && python bench/parity_folder.py FOLDER … [--dtype auto] [--max-new-tokens 6]

transformers computes in float32 on the weights as they are stored; `--dtype nf4` rounds them for dualign alone. Exits with 1
where a token differs, or a log-probability by 1e-4 or more.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPT = 'Füße naïve: who is Lily, on 26 July 2024?'
ROOT = pathlib.Path(__file__).parent.parent


def answer(folder, given):
    command = ['node', ROOT / 'dist/dualign.mjs', 'generate', '--policy', folder, '--device', 'cpu', '--dtype', given.dtype]
    command += ['--prompt', PROMPT, '--max-new-tokens', str(given.max_new_tokens), '--greedy', '--json', '--quiet']
    printed = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    (response,) = printed['responses']
    return printed['prompt_ids'], response['ids'], response['logps']


def compare(folder, given):
    prompt, ids, logps = answer(folder, given)
    expected_prompt = AutoTokenizer.from_pretrained(folder)(PROMPT)['input_ids']
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1:-1].double()
    expected = torch.log_softmax(logits, -1).max(-1)
    worst = (expected.values - torch.tensor(logps, dtype=torch.float64)).abs().max().item()
    same = dict(prompt=prompt == expected_prompt, answer=ids == expected.indices.tolist())
    good = all(same.values()) and worst < 1e-4
    wrong = ''.join(f'; other tokens of the {name}' for name, is_same in same.items() if not is_same)
    print(f"{'ok  ' if good else 'FAIL'} {folder}: {len(prompt)} + {len(ids)} tokens, log-probabilities differ by {worst:.1e}{wrong}")
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('folders', nargs='+')
    parser.add_argument('--dtype', default='auto')
    parser.add_argument('--max-new-tokens', type=int, default=6)
    given = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    results = [compare(folder, given) for folder in given.folders]
    sys.exit(not all(results))


if __name__ == '__main__':
    main()
