"""GRPO and RLOO of TRL and of dualign, step by step on the same completions.

    pip install torch 'transformers>=5' peft trl
    python bench/parity_on_policy.py [--device cpu|webgpu] [--stories FOLDER]

For a random model of Qwen2's shape, and for the Hugging Face folder of stories260K where --stories (or
../shared/models/stories260K) holds it: peft draws the adapter, bench/parity_on_policy.ts trains it, or all weights, on
completions that it draws as it learns, and TRL's GRPOTrainer or RLOOTrainer trains it on these completions, with rewards,
advantages and a reference of its own. Prints the largest relative difference of advantages, loss, gradient norm and every metric that both log; exits with 1
where one is 1e-4 or more.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import peft
import torch
import transformers
import trl
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.trainer import grpo_trainer, rloo_trainer

from parity_models import SHAPE, TOKENIZER, randomize

TOLERANCE = 1e-4
STEPS = 8
LAMBDA = 0.4
PROMPTS = 24
SHARED = dict(
    num_generations=4, per_device_train_batch_size=8, max_completion_length=12, learning_rate=5e-3, warmup_steps=2,
    lr_scheduler_type='cosine', weight_decay=0.01, max_grad_norm=1.0, max_steps=STEPS, beta=0.1,
)
LORA = dict(r=4, lora_alpha=8, target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'])
CASES = [
    ('grpo', dict(loss_type='dapo', scale_rewards='none')),
    ('grpo', dict(loss_type='grpo', scale_rewards='group', num_iterations=2, steps_per_generation=2, epsilon=0.05, epsilon_high=0.1, temperature=0.8)),
    ('grpo', dict(loss_type='bnpo', scale_rewards='batch', gradient_accumulation_steps=2, mask_truncated_completions=True)),
    ('grpo', dict(loss_type='dr_grpo', scale_rewards='none', use_bias_correction_kl=False, num_iterations=2)),
    ('grpo', dict(loss_type='dapo', scale_rewards='group', gradient_accumulation_steps=2, steps_per_generation=4)),
    ('grpo', dict(loss_type='dapo', scale_rewards='none', beta=0.0)),
    ('rloo', dict()),
    ('rloo', dict(normalize_advantages=True, reward_clip_range=[0.5, 2.0], num_iterations=2, epsilon=0.1, temperature=0.8)),
    ('rloo', dict(gradient_accumulation_steps=2, mask_truncated_completions=True)),
]
# Of all weights.
FULL_CASES = [
    ('grpo', dict(loss_type='dapo', scale_rewards='none', num_iterations=2)),
    ('grpo', dict(loss_type='dapo', scale_rewards='group', beta=0.0)),
    ('rloo', dict(gradient_accumulation_steps=2)),
]
HERE = pathlib.Path(__file__).parent


def reward(completion_ids, **kwargs):
    return [sum((id * 37 % 101 + t) / 23 for t, id in enumerate(ids)) / len(ids) for ids in completion_ids]


def safety_1(completion_ids, **kwargs):
    return [-sum(id % 3 == 0 for id in ids) / 4 for ids in completion_ids]


def random_folder(root):
    # TRL counts a completion that ends with padding as ended.
    model = Qwen2ForCausalLM._from_config(Qwen2Config(**SHAPE, tie_word_embeddings=True), attn_implementation='eager').eval()
    randomize(model)
    model.generation_config.eos_token_id = [2, 0]
    model.save_pretrained(root)
    vocab = {'<pad>': 0, '<s>': 1, '</s>': 2, **{f'w{i}': i for i in range(3, 64)}}
    (root / 'tokenizer.json').write_text(json.dumps({**TOKENIZER, 'model': {**TOKENIZER['model'], 'vocab': vocab, 'unk_token': '<pad>'}}))
    PreTrainedTokenizerFast(tokenizer_file=str(root / 'tokenizer.json'), eos_token='</s>', pad_token='<pad>').save_pretrained(root)
    return root, [[random.randrange(3, 64) for _ in range(random.randint(3, 9))] for _ in range(PROMPTS)]


def stories_prompts(folder):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    names, things = ['Lily', 'Tom', 'Ben', 'Mia', 'Sam'], ['ball', 'dog', 'tree', 'cake', 'boat']
    texts = [f'Once upon a time, {name} had a {thing}.' for name in names for thing in things]
    return [tokenizer(text)['input_ids'] for text in texts[:PROMPTS]]


def recording(Trainer):
    """A trainer that learns from what dualign drew, and keeps what the logs round."""

    class Recorder(Trainer):
        def _tokenize_prompts(self, prompts):
            self.generation = self.drawn.pop(0)
            return self.generation['prompts'], None, {}

        def _generate_single_turn(self, *args, **kwargs):
            completions = self.generation['completions']
            return (completions, None) if Trainer is GRPOTrainer else completions

        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            self.advantages.extend(output['advantages'].tolist())
            return output

        def compute_loss(self, *args, **kwargs):
            loss = super().compute_loss(*args, **kwargs)
            self.losses.append(loss.item())
            return loss

    return Recorder


def train_with_trl(trainer_name, folder, work, settings, full):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager')
    policy = model if full else PeftModel.from_pretrained(model, work / 'start', is_trainable=True)
    Config, Trainer, module = (GRPOConfig, GRPOTrainer, grpo_trainer) if trainer_name == 'grpo' else (RLOOConfig, RLOOTrainer, rloo_trainer)
    drawn = json.loads((work / 'generations.json').read_text())
    config = Config(
        output_dir=str(work / 'trl'), logging_steps=1, save_strategy='no', report_to='none', use_cpu=True, bf16=False, fp16=False,
        disable_tqdm=True, gradient_checkpointing=False, reward_weights=[1.0, LAMBDA], **settings,
    )
    trainer = recording(Trainer)(
        model=policy, args=config, reward_funcs=[reward, safety_1], train_dataset=Dataset.from_list([dict(prompt='')] * 1000),
        processing_class=PreTrainedTokenizerFast.from_pretrained(folder),
    )
    # TRL would measure from a copy of the adapter as it starts; dualign measures from the model without it.
    if not full and 'ref' in trainer.model.peft_config:
        trainer.model.delete_adapter('ref')
    trainer.drawn, trainer.losses, trainer.advantages = list(drawn), [], []
    # TRL shuffles before it cuts: as dualign did.
    module.shuffle_sequence_dict = lambda values: {
        key: value[trainer.generation['order']] if torch.is_tensor(value) and value.dim() > 0 else value for key, value in values.items()
    }
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    size = config.gradient_accumulation_steps
    # RLOO's micro-batches are averaged by the trainer, GRPO's by the loss.
    factor = 1 if trainer_name == 'grpo' else 1 / size
    losses = [factor * sum(trainer.losses[i : i + size]) for i in range(0, len(trainer.losses), size)]
    steps = [{**row, 'loss': loss} for row, loss in zip([row for row in trainer.state.log_history if 'grad_norm' in row], losses, strict=True)]
    return steps, trainer.advantages, [value for generation in drawn for value in generation['advantages']]


def largest_difference(ours, theirs, least=0.0):
    """Relative to the largest value of its kind: a loss may cross 0."""
    scale = max(least, *(abs(value) for value in theirs))
    difference = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    return difference / scale if scale > 0 else difference


def draw_adapter(folder, out):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    # Not the usual start, at which the adapter changes nothing.
    adapted = get_peft_model(model, LoraConfig(**LORA, task_type='CAUSAL_LM'))
    with torch.no_grad():
        for key, value in adapted.named_parameters():
            if 'lora_B' in key:
                value.copy_(torch.randn_like(value) * 0.05)
    adapted.save_pretrained(out)


def compare(name, folder, prompts, trainer, options, device, full):
    work = pathlib.Path(tempfile.mkdtemp(prefix='parity-'))
    if not full:
        draw_adapter(folder, work / 'start')
    settings = {**SHARED, **options, **(dict(learning_rate=1e-3) if full else {})}
    (work / 'settings.json').write_text(json.dumps(dict(settings, **{'lambda': LAMBDA})))
    (work / 'prompts.json').write_text(json.dumps(prompts))
    subprocess.run(['node', str(HERE / 'parity_on_policy.ts'), str(folder), str(work), device, trainer, 'full' if full else 'lora'], check=True)
    theirs, advantages, our_advantages = train_with_trl(trainer, folder, work, settings, full)
    mine = [json.loads(line) for line in (work / 'metrics.jsonl').read_text().splitlines()]
    typical = sum(abs(value) for value in advantages) / len(advantages)
    differences = {'advantages': largest_difference(our_advantages, advantages)}
    for key in sorted(set(mine[0]) - {'step', 'epoch'}):
        # TRL logs what was drawn in the step that drew it, and no extremes where nothing counts.
        pairs = [(row[key], other[key]) for row, other in zip(mine, theirs, strict=True) if other.get(key) is not None]
        if not any(key in other for other in theirs):
            raise SystemExit(f'TRL does not log {key}')
        if not pairs:
            continue
        # The mean of losses, each as large as its advantage, may be nothing but rounding.
        differences[key] = largest_difference(*zip(*pairs), least=typical if key == 'loss' else 0.0)
    worst = max(differences, key=differences.get)
    failed = not differences[worst] < TOLERANCE
    shown = ', '.join(f'{key} {differences[key]:.1e}' for key in ['advantages', 'loss', 'grad_norm', 'kl'] if key in differences)
    clipped = max(row['clip_ratio/region_mean'] for row in theirs)
    what = ', '.join(f'{key}={value}' for key, value in options.items()) or 'defaults'
    what = f'all weights, {what}' if full else what
    print(f'{"FAIL" if failed else "ok  "} {name}, {trainer}, {what}\n       {shown}; worst of {len(differences)}: {worst} {differences[worst]:.1e}; clipped up to {clipped:.2f}')
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--device', default='cpu', choices=['cpu', 'webgpu'])
    parser.add_argument('--stories', default=str(HERE / '../../shared/models/stories260K'))
    options = parser.parse_args()
    print(f'torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}, trl {trl.__version__}, dualign on {options.device}; {STEPS} steps')
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    # Models this small are slower on several.
    torch.set_num_threads(1)
    random.seed(0)
    root = pathlib.Path(tempfile.mkdtemp(prefix='parity-models-'))
    models = [('Qwen2', *random_folder(root))]
    if pathlib.Path(options.stories).exists():
        models.append(('stories260K', options.stories, stories_prompts(options.stories)))
    else:
        print(f'skipped stories260K: no {options.stories}')
    cases = [(case, False) for case in CASES] + [(case, True) for case in FULL_CASES]
    # Stories do not end within so few tokens: nothing would count.
    ends = lambda model, case: model[0] != 'stories260K' or 'mask_truncated_completions' not in case[1]
    failed = [compare(*model, *case, options.device, full) for model in models for case, full in cases if ends(model, case)]
    sys.exit(1 if any(failed) else 0)


if __name__ == '__main__':
    main()
