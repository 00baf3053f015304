"""`dualign sft`, `dualign dpo` and `dualign reward` beside TRL's trainers: all weights, step by step on the same rows.

    pip install torch 'transformers>=5' peft trl
    python bench/parity_commands.py [--device cpu|webgpu]

For random models of the shapes of Qwen2 and Qwen3: the commands train on rows of every form (texts, prompts with
completions, conversations, preferences), as many as a batch holds, so that their order does not matter, with AdamW, a
schedule of warm-up, stable rate and decay, and clipping. Prints the largest relative difference of loss, gradient norm and
other metrics over 20 steps from those of SFTTrainer, DPOTrainer and RewardTrainer, and that of the trained model's logits, as
transformers loads it from the folder that the command leaves; exits with 1 where one is 1e-4 or more.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
import transformers
import trl
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM,
    Qwen3Config, Qwen3ForCausalLM,
)
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from parity_models import SHAPE
from parity_trl import HERE, TOLERANCE, largest_difference, random_folder, words

STEPS = 20
ROWS = 8
SCHEDULE = {'num_decay_steps': 8, 'decay_type': '1-sqrt'}
SETTINGS = dict(learning_rate=2e-3, lr_scheduler_type='warmup_stable_decay', warmup_steps=4, weight_decay=0.01, max_grad_norm=1.0)
TEMPLATE = '{% for message in messages %}<s> {{ message.content }} </s> {% endfor %}{% if add_generation_prompt %}<s>{% endif %}'


def turn(role, count):
    return {'role': role, 'content': words(count)}


def rows_of(form):
    few = lambda: random.randint(2, 9)
    def row():
        if form == 'text':
            return dict(text=words(few()))
        if form == 'completion':
            return dict(prompt=words(few()), completion=' ' + words(few()))
        if form == 'messages':
            return dict(messages=[turn('user', few()), turn('assistant', few())])
        if form == 'conversation':
            return dict(prompt=[turn('user', few())], completion=[turn('assistant', few())])
        # TRL ends texts that are scored by </s>, where they do not end so.
        end = ' </s>' if form == 'reward' else ''
        margin = dict(margin=random.random()) if form == 'reward' else {}
        return dict(prompt=words(few()), chosen=' ' + words(few()) + end, rejected=' ' + words(few()) + end, **margin)
    return [row() for _ in range(ROWS)]


def recording(Trainer):
    class Recorder(Trainer):
        """Keeps what the logs round."""

        def compute_loss(self, *args, **kwargs):
            loss = super().compute_loss(*args, **kwargs)
            self.losses.append(loss.item())
            return loss

    return Recorder


TRAININGS = {
    'sft': (SFTTrainer, SFTConfig, AutoModelForCausalLM, {}, [], ['mean_token_accuracy']),
    'dpo': (DPOTrainer, DPOConfig, AutoModelForCausalLM, {'beta': 0.3}, ['--beta', '0.3'],
            ['rewards/margins', 'rewards/chosen', 'logps/chosen', 'logps/rejected', 'mean_token_accuracy']),
    'reward': (RewardTrainer, RewardConfig, AutoModelForSequenceClassification, {'center_rewards_coefficient': 0.05},
               ['--center-rewards-coefficient', '0.05', '--eval-fraction', '0'], ['margin', 'mean_reward', 'max_reward']),
}


# Forms of rows, the command that learns them, and settings beside those above.
CASES = {
    'text': ('sft', {}),
    'completion': ('sft', {}),
    'messages': ('sft', dict(per_device_train_batch_size=ROWS // 4, gradient_accumulation_steps=4)),
    'conversation': ('sft', {}),
    'dpo': ('dpo', {}),
    'dpo, ipo': ('dpo', dict(loss_type='ipo')),
    'dpo, hinge': ('dpo', dict(loss_type='hinge', per_device_train_batch_size=ROWS // 2, gradient_accumulation_steps=2)),
    'reward': ('reward', {}),
}


def options_of(settings):
    return [part for key, value in settings.items() for part in (f'--{key.replace("_", "-")}', str(value))]


def theirs(command, folder, work, rows, settings):
    Trainer, Config, Model, more, _, _ = TRAININGS[command]
    config = Config(
        output_dir=str(work / 'trl'), max_steps=STEPS, logging_steps=1, save_strategy='no',
        report_to='none', use_cpu=True, bf16=False, fp16=False, disable_tqdm=True, gradient_checkpointing=False, max_length=None,
        lr_scheduler_kwargs=SCHEDULE, **settings, **more,
    )
    model = load(Model, folder)
    recorder = recording(Trainer)
    recorder.losses = []
    trainer = recorder(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=PreTrainedTokenizerFast.from_pretrained(folder))
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    logged = [row for row in trainer.state.log_history if 'grad_norm' in row]
    # The loss of each micro-batch: a part of SFT's, a mean of the others'.
    size = config.gradient_accumulation_steps
    parts = 1 if command == 'sft' else size
    losses = [sum(recorder.losses[i : i + size]) / parts for i in range(0, len(recorder.losses), size)]
    return trainer.model.eval(), [{**row, 'loss': loss} for row, loss in zip(logged, losses, strict=True)]


def ours(command, folder, work, rows, settings, device):
    (work / 'rows.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    data = '--dataset' if command == 'sft' else '--preferences'
    subprocess.run([
        'node', str(HERE / '../align.ts'), command, '--policy', str(folder), data, str(work / 'rows.jsonl'), '--full', '--device', device,
        '--max-steps', str(STEPS), '--lr-scheduler-kwargs', json.dumps(SCHEDULE), *options_of(settings),
        *TRAININGS[command][4], '--out', str(work / 'run'), '--quiet', '--json',
    ], check=True, stdout=subprocess.DEVNULL)
    steps = [json.loads(line) for line in (work / 'run/metrics.jsonl').read_text().splitlines()]
    return work / 'run' / ('.' if command == 'reward' else 'model'), steps


def load(Model, folder):
    labels = {'num_labels': 1} if Model is AutoModelForSequenceClassification else {}
    return Model.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager', **labels).eval()


def compare(name, folder, form, device):
    command, more = CASES[form]
    settings = {**SETTINGS, 'per_device_train_batch_size': ROWS, **more}
    work = pathlib.Path(tempfile.mkdtemp(prefix='parity-'))
    rows = rows_of(form)
    saved, mine = ours(command, folder, work, rows, settings, device)
    trained, expected = theirs(command, folder, work, rows, settings)
    failed = False
    def report(what, difference):
        nonlocal failed
        bad = not difference < TOLERANCE
        failed |= bad
        print(f'{"FAIL" if bad else "ok  "} {name} {form.ljust(13)} {what.ljust(24)} {difference:.1e}', flush=True)
    for key in ['loss', 'grad_norm', 'learning_rate', 'num_tokens', *TRAININGS[command][5]]:
        # TRL's is a mean over batches, that of dualign over the tokens of a step.
        if key == 'mean_token_accuracy' and 'gradient_accumulation_steps' in more:
            continue
        report(key, largest_difference([row[key] for row in mine], [row[key] for row in expected]))
    ids = torch.randint(3, 64, (2, 24))
    with torch.no_grad():
        logits = [model(ids).logits.flatten().tolist() for model in (load(TRAININGS[command][2], saved), trained)]
    report('logits of what it leaves', largest_difference(*logits))
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--device', default='cpu', choices=['cpu', 'webgpu'])
    options = parser.parse_args()
    print(f'torch {torch.__version__}, transformers {transformers.__version__}, trl {trl.__version__}, dualign on {options.device}')
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    random.seed(0)
    root = pathlib.Path(tempfile.mkdtemp(prefix='parity-models-'))
    failed = []
    for name, Model, config in [
        ('Qwen2', Qwen2ForCausalLM, Qwen2Config(**SHAPE, tie_word_embeddings=True)),
        ('Qwen3', Qwen3ForCausalLM, Qwen3Config(**SHAPE, head_dim=16)),
    ]:
        folder, _ = random_folder(root / name, Model, config)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        tokenizer.chat_template = TEMPLATE
        tokenizer.save_pretrained(folder)
        scorer = root / f'{name}-reward'
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, pad_token_id=0)
        model.save_pretrained(scorer)
        tokenizer.save_pretrained(scorer)
        for form in CASES:
            failed.append(compare(name, scorer if form == 'reward' else folder, form, options.device))
    sys.exit(1 if any(failed) else 0)


if __name__ == '__main__':
    main()
