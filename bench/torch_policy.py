"""The work of bench/policy.ts in PyTorch, in float32: transformers' model, peft's LoRA, torch's AdamW.

    pip install torch transformers peft
    python bench/torch_policy.py (--model FOLDER | --shape NAME [--layers N]) [--device auto] [--threads N] [--side N]
                                 --rows N --prompt-tokens N --new-tokens N --pairs N --steps N

`--device auto` is the GPU if there is one, else the CPU. `--side` also measures a product of three such sides, in GFLOP/s.
Prints {"engine", "device", "rates": tokens a second, "product", "peak": bytes on a GPU} as one line of JSON: bench/engines.ts
and bench/gpu.ts run it.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

QWEN25 = dict(
    hidden_size=896, intermediate_size=4864, num_attention_heads=14, num_key_value_heads=2, vocab_size=151936,
    num_hidden_layers=24, max_position_embeddings=32768, rms_norm_eps=1e-6, rope_theta=1000000, tie_word_embeddings=True,
)
# The shapes of bench/random_policy.ts.
SHAPES = {
    'SmolLM2-135M': (LlamaForCausalLM, LlamaConfig, dict(
        hidden_size=576, intermediate_size=1536, num_attention_heads=9, num_key_value_heads=3, vocab_size=49152,
        num_hidden_layers=30, max_position_embeddings=8192, rms_norm_eps=1e-5, rope_theta=100000, tie_word_embeddings=True,
    )),
    'Qwen2.5-0.5B': (Qwen2ForCausalLM, Qwen2Config, QWEN25),
    'tiny': (Qwen2ForCausalLM, Qwen2Config, QWEN25 | dict(hidden_size=56, intermediate_size=64, num_hidden_layers=2, vocab_size=500)),
}
BETA = 0.1

parser = argparse.ArgumentParser()
parser.add_argument('--model')
parser.add_argument('--shape', default='SmolLM2-135M', choices=SHAPES)
parser.add_argument('--device', default='auto')
for name in ['layers', 'threads', 'side', 'rows', 'prompt-tokens', 'new-tokens', 'pairs', 'steps']:
    parser.add_argument(f'--{name}', type=int)
given = parser.parse_args()
rows, prompt_length, new, pairs, steps = given.rows, given.prompt_tokens, given.new_tokens, given.pairs, given.steps

def best_device():
    if torch.cuda.is_available():
        return 'cuda'
    return 'mps' if torch.backends.mps.is_available() else 'cpu'


device = torch.device(best_device() if given.device == 'auto' else given.device)
if given.threads:
    torch.set_num_threads(given.threads)
torch.set_float32_matmul_precision('highest')
torch.manual_seed(0)
torch.set_default_device(device)
if given.model:
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32)
else:
    Model, Config, settings = SHAPES[given.shape]
    model = Model(Config(**settings | ({'num_hidden_layers': given.layers} if given.layers else {})))
model = model.float().to(device).eval()
vocab = model.config.vocab_size
rates = {}


def synchronize():
    if device.type == 'cuda':
        torch.cuda.synchronize()
    elif device.type == 'mps':
        torch.mps.synchronize()


def measure(name, tokens, work):
    """As bench/policy.ts does: the best of three runs, or of as many as start within 10 seconds."""
    began = time.perf_counter()
    best = float('inf')
    for _ in range(3):
        start = time.perf_counter()
        if start - began > 10:
            break
        work()
        synchronize()
        best = min(best, time.perf_counter() - start)
    rates[name] = tokens / best


product = None
if given.side:
    left, right = torch.rand(2, given.side, given.side)
    repeats = 8
    measure('product', repeats, lambda: [left @ right for _ in range(repeats)])
    product = 2e-9 * given.side**3 * rates.pop('product')
    del left, right

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
print(json.dumps({
    'engine': f'PyTorch {torch.__version__}, transformers {transformers.__version__}',
    'device': torch.cuda.get_device_name() if device.type == 'cuda' else device.type,
    'rates': rates,
    'product': product,
    'peak': torch.cuda.max_memory_allocated() if device.type == 'cuda' else None,
}))
