"""Logits of random models of every family, from transformers in f32 and from dualign, side by side.

    pip install torch 'transformers>=5'
    python bench/parity_models.py [--device cpu|webgpu]

Makes small models with save_pretrained, some in shards or in bfloat16, has bench/parity_models.ts load each folder and
compute the logits of the same tokens, and prints the largest difference; exits with 1 where it is 1e-4 or more.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from transformers import (
    LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
    Qwen3ForCausalLM, SmolLM3Config, SmolLM3ForCausalLM,
)

SHAPE = dict(
    vocab_size=64, hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=6,
    num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
LLAMA3 = dict(rope_type='llama3', rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
SLIDING = dict(use_sliding_window=True, sliding_window=7, max_window_layers=1)

MODELS = {
    'Llama': (LlamaForCausalLM, LlamaConfig(**SHAPE), {}),
    'Llama, scaled rope, tied': (LlamaForCausalLM, LlamaConfig(**SHAPE, rope_parameters=LLAMA3, tie_word_embeddings=True), {}),
    'Llama, all biases': (LlamaForCausalLM, LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True), {}),
    'Llama, linear rope, bfloat16': (
        LlamaForCausalLM,
        LlamaConfig(**SHAPE, rope_parameters=dict(rope_type='linear', rope_theta=10000.0, factor=4.0)),
        dict(dtype=torch.bfloat16),
    ),
    'Mistral, window 5, head_dim 12': (MistralForCausalLM, MistralConfig(**SHAPE, sliding_window=5, head_dim=12), {}),
    'Qwen2, tied, in shards': (Qwen2ForCausalLM, Qwen2Config(**SHAPE, tie_word_embeddings=True), dict(shard='50KB')),
    'Qwen2, windows from layer 1': (Qwen2ForCausalLM, Qwen2Config(**SHAPE, **SLIDING), {}),
    'Qwen3, head_dim 16': (Qwen3ForCausalLM, Qwen3Config(**SHAPE, head_dim=16), {}),
    'Qwen3, windows, float16': (Qwen3ForCausalLM, Qwen3Config(**SHAPE, **SLIDING, head_dim=16), dict(dtype=torch.float16)),
    'SmolLM3, no rope in layer 1': (SmolLM3ForCausalLM, SmolLM3Config(**SHAPE, no_rope_layers=[1, 0, 1]), {}),
}

TOKENIZER = {
    'version': '1.0', 'added_tokens': [], 'normalizer': None, 'pre_tokenizer': {'type': 'WhitespaceSplit'},
    'post_processor': None, 'decoder': None,
    'model': {'type': 'WordLevel', 'vocab': {f'w{i}': i for i in range(64)}, 'unk_token': 'w0'},
}


def randomize(model):
    """Weights of a size at which every part of the model matters: initialization leaves biases 0 and norms 1."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.randn_like(value) * 0.2 + (1.0 if 'norm' in name else 0.0))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--device', default='cpu', choices=['cpu', 'webgpu'])
    device = parser.parse_args().device
    print(f'torch {torch.__version__}, transformers {transformers.__version__}, dualign on {device}')
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    ids = torch.randint(0, 64, (2, 40))
    root = pathlib.Path(tempfile.mkdtemp(prefix='parity-'))
    for number, (name, (Model, config, options)) in enumerate(MODELS.items()):
        model = Model._from_config(config, attn_implementation='eager').eval()
        randomize(model)
        dtype = options.get('dtype', torch.float32)
        folder = root / str(number)
        model.to(dtype).save_pretrained(folder, max_shard_size=options.get('shard', '5GB'))
        (folder / 'tokenizer.json').write_text(json.dumps(TOKENIZER))
        # The stored weights are rounded; the computation is not.
        stored = Model.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager').eval()
        with torch.no_grad():
            logits = stored(ids).logits
        expected = dict(name=name, ids=ids.tolist(), logits=logits.flatten().tolist())
        (folder / 'expected.json').write_text(json.dumps(expected))
    driver = pathlib.Path(__file__).with_suffix('.ts')
    sys.exit(subprocess.run(['node', str(driver), str(root), device]).returncode)


if __name__ == '__main__':
    main()
