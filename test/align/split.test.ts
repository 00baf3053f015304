import { describe, expect, it } from 'vitest';
import { splitPrompts } from '../../src/align/split.ts';

const prompts = Array.from({ length: 20 }, (_, n) => `prompt ${n}`);

describe('splitPrompts', () => {
  it('holds out a drawn part, in the order of the file, the same for a seed', () => {
    const split = splitPrompts(prompts, 0.25, 1, 'prompts.jsonl');
    expect(split.evaluation).toHaveLength(5);
    expect([...split.train, ...split.evaluation].sort()).toEqual([...prompts].sort());
    expect(split.train).toEqual(prompts.filter((prompt) => split.train.includes(prompt)));
    expect(splitPrompts(prompts, 0.25, 1, 'prompts.jsonl')).toEqual(split);
    expect(splitPrompts(prompts, 0.25, 2, 'prompts.jsonl')).not.toEqual(split);
  });

  it('keeps at least one prompt on each side', () => {
    expect(splitPrompts(['a', 'b'], 0.01, 1, 'p')).toMatchObject({
      train: { length: 1 },
      evaluation: { length: 1 },
    });
    expect(splitPrompts(['a', 'b'], 0.99, 1, 'p')).toMatchObject({
      train: { length: 1 },
      evaluation: { length: 1 },
    });
    expect(() => splitPrompts(['a'], 0.5, 1, 'p.jsonl')).toThrow('p.jsonl: expected at least 2 prompts');
  });
});
