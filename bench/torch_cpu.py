"""The work of bench/policy.ts in PyTorch on the CPU, in float32: transformers' model, peft's LoRA, torch's AdamW.

    pip install torch transformers peft
    python bench/torch_cpu.py (--model FOLDER | --layers N) --threads N --rows N --prompt-tokens N --new-tokens N
                              --pairs N --steps N

Prints {"engine", "rates": tokens a second} as one line of JSON: bench/engines.ts runs it.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

SMOLLM2 = dict(
    hidden_size=576, intermediate_size=1536, num_attention_heads=9, num_key_value_heads=3, vocab_size=49152,
    max_position_embeddings=8192, rms_norm_eps=1e-5, rope_theta=100000, tie_word_embeddings=True,
)
BETA = 0.1

parser = argparse.ArgumentParser()
parser.add_argument('--model')
for name in ['layers', 'threads', 'rows', 'prompt-tokens', 'new-tokens', 'pairs', 'steps']:
    parser.add_argument(f'--{name}', type=int)
given = parser.parse_args()
rows, prompt_length, new, pairs, steps = given.rows, given.prompt_tokens, given.new_tokens, given.pairs, given.steps

torch.set_num_threads(given.threads)
torch.manual_seed(0)
if given.layers:
    model = LlamaForCausalLM(LlamaConfig(**SMOLLM2, num_hidden_layers=given.layers))
else:
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32)
model = model.float().eval()
vocab = model.config.vocab_size
rates = {}


def measure(name, tokens, work):
    """As bench/policy.ts does: the best of three runs, or of as many as start within 10 seconds."""
    began = time.perf_counter()
    best = float('inf')
    for _ in range(3):
        start = time.perf_counter()
        if start - began > 10:
            break
        work()
        best = min(best, time.perf_counter() - start)
    rates[name] = tokens / best


prompts = torch.randint(vocab, (rows, prompt_length))


@torch.inference_mode()
def generate(count):
    result = model(prompts, use_cache=True, logits_to_keep=1)
    for step in range(count):
        token = torch.multinomial(torch.softmax(result.logits[:, -1], -1), 1)
        if step + 1 < count:
            result = model(token, past_key_values=result.past_key_values, use_cache=True)


@torch.inference_mode()
def hidden():
    model.model(prompts, use_cache=False)


def logps(ids):
    logits = model(ids, use_cache=False, logits_to_keep=new + 1).logits[:, :-1]
    return torch.gather(F.log_softmax(logits, -1), 2, ids[:, -new:, None]).sum((1, 2))


@torch.inference_mode()
def score(ids):
    logps(ids)


measure('hidden', rows * prompt_length, hidden)
measure('prefill', rows * prompt_length, lambda: generate(1))
measure('decode', rows * new, lambda: generate(new))
completions = torch.cat([prompts, torch.randint(vocab, (rows, new))], 1)
measure('log-probs', completions.numel(), lambda: score(completions))

model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules='all-linear', task_type='CAUSAL_LM')).train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, weight_decay=0)
batch = torch.randint(vocab, (2 * pairs, prompt_length + new))
with torch.inference_mode(), model.disable_adapter():
    reference = logps(batch)
reference = reference.clone()


def train():
    for _ in range(steps):
        chosen, rejected = (logps(batch) - reference).chunk(2)
        F.softplus(-BETA * (chosen - rejected)).mean().backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad()


measure('DPO', steps * batch.numel(), train)
print(json.dumps({'engine': f'PyTorch {torch.__version__}, transformers {transformers.__version__}', 'rates': rates}))
