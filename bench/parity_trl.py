"""LoRA-DPO of TRL and of dualign, step by step on the same batches, and each one's adapter loaded by the other.

    pip install torch 'transformers>=5' peft trl
    python bench/parity_trl.py [--device cpu|webgpu] [--stories FOLDER]

For random models of the shapes of Qwen2 and Qwen3, and for the Hugging Face folder of stories260K where --stories (or
../shared/models/stories260K) holds it: peft draws the adapter, bench/parity_trl.ts trains it, and TRL's DPOTrainer trains
it on the rows in the order that dualign drew, with AdamW, a cosine schedule with warm-up, and clipping. Prints the largest
relative difference of loss, log-probs and gradient norm over 20 steps, and of the logits of the trained adapters; exits
with 1 where one is 1e-4 or more.
"""

import argparse
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
import transformers
import trl
import peft
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
    Qwen3ForCausalLM,
)
from trl import DPOConfig, DPOTrainer

from parity_models import SHAPE, TOKENIZER, randomize

TOLERANCE = 1e-4
STEPS = 20
BATCH = 4
SETTINGS = dict(beta=0.1, learning_rate=5e-3, lr_scheduler_type='cosine', warmup_steps=4, weight_decay=0.01, max_grad_norm=1.0)
LORA = dict(r=4, lora_alpha=8, target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'])
COMPARED = ['loss', 'grad_norm', 'logps/chosen', 'logps/rejected', 'rewards/chosen', 'rewards/rejected', 'rewards/margins']
HERE = pathlib.Path(__file__).parent


def words(count):
    return ' '.join(f'w{random.randrange(3, 64)}' for _ in range(count))


def random_folder(root, Model, config):
    model = Model._from_config(config, attn_implementation='eager').eval()
    randomize(model)
    model.save_pretrained(root)
    vocab = {'<pad>': 0, '<s>': 1, '</s>': 2, **{f'w{i}': i for i in range(3, 64)}}
    (root / 'tokenizer.json').write_text(json.dumps({**TOKENIZER, 'model': {**TOKENIZER['model'], 'vocab': vocab, 'unk_token': '<pad>'}}))
    PreTrainedTokenizerFast(tokenizer_file=str(root / 'tokenizer.json'), eos_token='</s>', pad_token='<pad>').save_pretrained(root)
    # The space is the words' border, so it stands before the completion.
    rows = [dict(prompt=words(random.randint(3, 9)), chosen=' ' + words(random.randint(2, 12)),
                 rejected=' ' + words(random.randint(2, 12))) for _ in range(STEPS * BATCH // 2)]
    return root, rows


def stories_folder(path):
    names, things, feelings = ['Lily', 'Tom', 'Ben', 'Mia', 'Sam'], ['ball', 'dog', 'tree', 'cake', 'boat'], ['happy', 'sad', 'big', 'red']
    def sentence():
        return f' {random.choice(names)} saw a {random.choice(feelings)} {random.choice(things)}. She was very {random.choice(feelings)}.'
    prompts = [f'Once upon a time, {a} and {b} had a {c}.' for a in names for b in names for c in things if a != b]
    random.shuffle(prompts)
    rows = [dict(prompt=prompt, chosen=sentence(), rejected=sentence() + sentence()) for prompt in prompts[: STEPS * BATCH // 2]]
    return pathlib.Path(path), rows


def ours(*arguments):
    subprocess.run(['node', str(HERE / 'parity_trl.ts'), *map(str, arguments)], check=True)


class Recorder(DPOTrainer):
    """Keeps what the logs round."""

    losses = []

    def compute_loss(self, *args, **kwargs):
        loss = super().compute_loss(*args, **kwargs)
        self.losses.append(loss.item())
        return loss


def train_with_trl(folder, work, rows):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager')
    policy = PeftModel.from_pretrained(model, work / 'start', is_trainable=True)
    config = DPOConfig(
        output_dir=str(work / 'trl'), per_device_train_batch_size=BATCH, max_steps=STEPS, train_sampling_strategy='sequential',
        logging_steps=1, save_strategy='no', report_to='none', use_cpu=True, bf16=False, fp16=False, disable_tqdm=True,
        gradient_checkpointing=False, max_length=None, **SETTINGS,
    )
    Recorder.losses = []
    trainer = Recorder(model=policy, args=config, train_dataset=Dataset.from_list(rows), processing_class=PreTrainedTokenizerFast.from_pretrained(folder))
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    steps = [{**row, 'loss': loss} for row, loss in zip([row for row in trainer.state.log_history if 'grad_norm' in row], Recorder.losses, strict=True)]
    trainer.model.save_pretrained(work / 'trl-adapter', selected_adapters=['default'])
    return steps


def logits_of(folder, adapter, ids):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager')
    with torch.no_grad():
        return PeftModel.from_pretrained(model, adapter).eval()(ids).logits


def largest_difference(ours, theirs):
    """Relative to the largest value of its kind: a margin may cross 0."""
    scale = max(abs(value) for value in theirs)
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / scale


def compare(name, folder, rows, device):
    work = pathlib.Path(tempfile.mkdtemp(prefix='parity-'))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    get_peft_model(model, LoraConfig(**LORA, task_type='CAUSAL_LM')).save_pretrained(work / 'start')
    (work / 'rows.json').write_text(json.dumps(rows))
    (work / 'settings.json').write_text(json.dumps(dict(SETTINGS, max_steps=STEPS, per_device_train_batch_size=BATCH)))
    ours('train', folder, work, device)
    order = json.loads((work / 'order.json').read_text())
    theirs = train_with_trl(folder, work, [rows[index] for index in order])
    mine = [json.loads(line) for line in (work / 'metrics.jsonl').read_text().splitlines()]
    failed = False
    def report(what, difference):
        nonlocal failed
        bad = not difference < TOLERANCE
        failed |= bad
        print(f'{"FAIL" if bad else "ok  "} {name.ljust(12)} {what.ljust(40)} {difference:.1e}')
    for key in COMPARED:
        report(f'{key}, {len(mine)} steps', largest_difference([row[key] for row in mine], [row[key] for row in theirs]))
    ids = torch.randint(3, 64, (2, 24))
    (work / 'ids.json').write_text(json.dumps(ids.tolist()))
    for adapter in ['ours', 'trl-adapter']:
        ours('logits', folder, work, device, adapter)
        loaded = json.loads((work / 'logits.json').read_text())
        expected = logits_of(folder, work / adapter, ids).flatten().tolist()
        report(f'logits of {"our adapter in peft" if adapter == "ours" else "the adapter of peft here"}', largest_difference(loaded, expected))
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--device', default='cpu', choices=['cpu', 'webgpu'])
    parser.add_argument('--stories', default=str(HERE / '../../shared/models/stories260K'))
    options = parser.parse_args()
    print(f'torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}, trl {trl.__version__}, dualign on {options.device}')
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    random.seed(0)
    root = pathlib.Path(tempfile.mkdtemp(prefix='parity-models-'))
    models = [
        ('Qwen2', *random_folder(root / 'qwen2', Qwen2ForCausalLM, Qwen2Config(**SHAPE, tie_word_embeddings=True))),
        ('Qwen3', *random_folder(root / 'qwen3', Qwen3ForCausalLM, Qwen3Config(**SHAPE, head_dim=16))),
    ]
    if pathlib.Path(options.stories).exists():
        models.append(('stories260K', *stories_folder(options.stories)))
    else:
        print(f'skipped stories260K: no {options.stories}')
    failed = [compare(*model, options.device) for model in models]
    sys.exit(1 if any(failed) else 0)


if __name__ == '__main__':
    main()
