import { describe, expect, it } from 'vitest';
import { WORDS as PANEL } from '../../extension/shared/fields.ts';
import { parseConfig } from '../../src/align/config.ts';
import { UserError } from '../../src/errors.ts';
import { errorInWords } from '../../src/host/page/wording.ts';
import { mends } from '../../src/train/memory_plan.ts';
import { WORDS as PLAYGROUND } from '../../web/align/fields.ts';

function errorOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('expected an error');
}

describe('an error on a page', () => {
  it('calls settings what the page calls them, and the command what it does', () => {
    const error = errorOf(() => parseConfig({ responses: 1 }, 'runs/run-001'));
    expect((error as Error).message).toBe('runs/run-001: --responses: expected >=2, got 1');
    expect(errorInWords(error, PLAYGROUND)).toBe(
      'runs/run-001: “Answers to each prompt”: expected >=2, got 1',
    );
    expect(errorInWords(error, PANEL)).toBe('runs/run-001: “Answers to each”: expected >=2, got 1');
  });

  it('offers no way to mend it that the page has not', () => {
    const advice = ['raise --responses', 'raise --temperature'];
    const error = new UserError('scores.jsonl: all responses are the same', 2, advice);
    expect(error.message).toBe(
      'scores.jsonl: all responses are the same; raise --responses, or raise --temperature',
    );
    expect(errorInWords(error, PANEL)).toBe(
      'scores.jsonl: all responses are the same; raise “Answers to each”',
    );
    expect(errorInWords(new UserError('memory: too little', 2, mends(false)), PLAYGROUND)).toBe(
      'memory: too little; use shorter prompts and responses, or use a smaller model',
    );
  });

  it('names the choice of a setting where the page has a name for it', () => {
    const error = new UserError('too large', 2, ['use a GPU (--device webgpu)', 'give --chat-template file']);
    expect(errorInWords(error, PLAYGROUND)).toBe(
      'too large; use a GPU (“Where it runs”: graphics card (WebGPU))',
    );
    expect(errorInWords(error, PANEL)).toBe(
      'too large; use a GPU (“Runs on”: WebGPU, a software driver too)',
    );
  });

  it('leaves errors of the program as they are', () => {
    expect(errorInWords(new Error('no --such thing'), PANEL)).toBe('no --such thing');
  });
});
