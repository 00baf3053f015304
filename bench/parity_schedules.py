"""Learning-rate schedules of dualign beside transformers' get_scheduler, at every step of random settings.

    pip install torch 'transformers>=5'
    python bench/parity_schedules.py

Prints the largest difference of the factor on the learning rate for each schedule; exits with 1 where one is 1e-12 or more.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
import transformers
from transformers import get_scheduler

TOLERANCE = 1e-12
CASES = 40
LEARNING_RATE = 2.0
HERE = pathlib.Path(__file__).parent
RAMPS = ['linear', 'cosine', '1-sqrt']


def some(**choices):
    """A part of these settings."""
    return {name: value for name, value in choices.items() if random.random() < 0.6}


def lowest():
    return random.choice([dict(min_lr=random.random() / 2), dict(min_lr_rate=random.random() / 2)])


KWARGS = {
    'linear': dict,
    'cosine': lambda: some(num_cycles=random.choice([0.5, 1, 1.7])),
    'cosine_with_restarts': lambda: some(num_cycles=random.choice([1, 2, 3])),
    'cosine_with_min_lr': lambda: dict(lowest(), **some(num_cycles=random.choice([0.5, 1.3]))),
    'cosine_warmup_with_min_lr': lambda: dict(lowest(), **some(num_cycles=random.choice([0.5, 1.3]), warmup_lr_rate=random.random())),
    'polynomial': lambda: some(power=random.choice([0.5, 1, 2, 3.3]), lr_end=random.random() / 2),
    'constant': dict,
    'constant_with_warmup': dict,
    'inverse_sqrt': lambda: some(timescale=random.randint(1, 50)),
    'warmup_stable_decay': lambda: dict(num_decay_steps=random.randint(0, 20), **some(
        num_stable_steps=random.randint(0, 20), warmup_type=random.choice(RAMPS), decay_type=random.choice(RAMPS),
        min_lr_ratio=random.random(), num_cycles=random.choice([0.5, 1.5]))),
}


def factors(case):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LEARNING_RATE)
    schedule = get_scheduler(case['type'], optimizer, case['warmup'], case['total'], case['kwargs'] or None)
    values = []
    for _ in range(case['total']):
        values.append(schedule.get_last_lr()[0] / LEARNING_RATE)
        optimizer.step()
        schedule.step()
    return values


def main():
    print(f'transformers {transformers.__version__}')
    random.seed(0)
    cases = []
    for name, kwargs in KWARGS.items():
        for _ in range(CASES):
            total = random.randint(1, 60)
            # A polynomial falls over no steps where all are warm-up.
            warmup = random.choice([0, random.randint(0, max(0, total - 1))])
            cases.append(dict(type=name, kwargs=kwargs(), warmup=warmup, total=total))
    work = pathlib.Path(tempfile.mkdtemp(prefix='parity-'))
    (work / 'cases.json').write_text(json.dumps(cases))
    subprocess.run(['node', str(HERE / 'parity_schedules.ts'), str(work / 'cases.json'), str(work / 'factors.json')], check=True)
    ours = json.loads((work / 'factors.json').read_text())
    failed = False
    for name in KWARGS:
        pairs = [(mine, factors(case)) for case, mine in zip(cases, ours, strict=True) if case['type'] == name]
        worst = max(abs(a - b) for mine, theirs in pairs for a, b in zip(mine, theirs, strict=True))
        failed |= not worst < TOLERANCE
        print(f'{"ok  " if worst < TOLERANCE else "FAIL"} {name.ljust(26)} {worst:.1e}')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
