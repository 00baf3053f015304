import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DiskFolder } from '../../src/host/disk.ts';
import { loadScorer } from '../../src/host/scorers.ts';
import { OnnxScorer } from '../../src/score/onnx.ts';
import { copyOfScorer, expectedOf, haveModels, models, scorerFolder } from './support/folders.ts';
import { lastPositionModel, poleModel, sumModel, tokenModel } from './support/models.ts';

const rowsOf = (...responses: string[]) => responses.map((response) => ({ prompt: '', response }));

describe.skipIf(!haveModels)('story scorers (needs ../shared/models)', () => {
  for (const name of ['stories-reward', 'stories-cost']) {
    it(`${name} gives PyTorch's logits for token ids and for text`, async () => {
      const expected = expectedOf(name);
      const scorer = await OnnxScorer.load(new DiskFolder(join(models, name)));
      const byIds = await scorer.scoreIds(expected.map((row) => row.input_ids));
      for (const [i, row] of expected.entries()) expect(Math.abs(byIds[i]! - row.logit)).toBeLessThan(1e-4);

      // The seventh row ends in half a character, which no text brings back.
      const texts = expected.filter((_, i) => i !== 6);
      const rows = texts.map(({ text }) => ({ prompt: text.slice(1, 30), response: text.slice(30) }));
      const byText = await scorer.score(rows);
      for (const [i, row] of texts.entries()) expect(Math.abs(byText[i]! - row.logit)).toBeLessThan(1e-4);
      await scorer.release();
    });
  }

  it('scores a row the same to the last bit, whatever stands beside it', async () => {
    const tokens = expectedOf('stories-reward').flatMap((row) => row.input_ids);
    const rows = Array.from({ length: 120 }, (_, i) => tokens.slice(i, i + 5 + ((i * 37) % 300)));
    const scorer = await OnnxScorer.load(new DiskFolder(join(models, 'stories-reward')));
    const together = await scorer.scoreIds(rows);
    const backwards = await scorer.scoreIds(rows.toReversed());
    expect(backwards.toReversed()).toEqual(together);
    for (const [i, row] of rows.entries()) expect((await scorer.scoreIds([row]))[0]).toBe(together[i]);
  });

  it('tells how far it is', async () => {
    const scorer = await loadScorer(join(models, 'stories-cost'));
    const seen: number[][] = [];
    await scorer.score(rowsOf('Once', 'Once upon a time, there was a little girl named Lily.'), (...at) =>
      seen.push(at),
    );
    expect(seen.at(-1)).toEqual([2, 2]);
  });

  it('refuses damaged and incomplete folders', async () => {
    const cut = copyOfScorer('stories-reward');
    truncateSync(join(cut, 'model.onnx'), 100_000);
    await expect(loadScorer(cut)).rejects.toThrow(
      `${cut}/model.onnx: expected an ONNX model that can be run`,
    );

    writeFileSync(join(cut, 'tokenizer.json'), '{"model": ');
    await expect(loadScorer(cut)).rejects.toThrow(`${cut}/tokenizer.json: expected JSON`);
    writeFileSync(join(cut, 'tokenizer.json'), '{"model": {"type": "Morse"}}');
    await expect(loadScorer(cut)).rejects.toThrow(
      `${cut}/tokenizer.json: expected a Hugging Face fast tokenizer`,
    );

    rmSync(join(cut, 'tokenizer.json'));
    await expect(loadScorer(cut)).rejects.toThrow('tokenizer.json is not there');
    await expect(loadScorer(join(cut, 'nowhere'))).rejects.toThrow(
      'nowhere: no such scorer; expected a folder with model.onnx and tokenizer.json, or a module',
    );
  });
});

describe('models of other shapes', () => {
  it('reads prompt and response as one text between special tokens', async () => {
    const scorer = await loadScorer(scorerFolder(sumModel([1])));
    const scores = await scorer.score([
      { prompt: 'one', response: ' two three' },
      { prompt: 'one tw', response: 'o' },
      { prompt: 'three', response: '' },
    ]);
    expect([...scores]).toEqual([4 + 1 + 2 + 3 + 5, 4 + 1 + 2 + 5, 4 + 3 + 5]);
  });

  it('cuts long text to its end, or to its start where truncation_side says so', async () => {
    const rows = rowsOf('one one two three', 'three three');
    const left = await loadScorer(scorerFolder(sumModel([1]), { model_max_length: 4 }));
    expect([...(await left.score(rows))]).toEqual([4 + 2 + 3 + 5, 4 + 6 + 5]);
    expect(left.truncated).toBe(1);
    const right = await loadScorer(
      scorerFolder(sumModel([1]), { truncation_side: 'right' }, { max_position_embeddings: 4 }),
    );
    expect([...(await right.score(rows))]).toEqual([4 + 1 + 1 + 5, 4 + 6 + 5]);
    const none = await loadScorer(scorerFolder(sumModel([1]), { model_max_length: 1e30 }));
    expect([...(await none.score(rowsOf('one '.repeat(3000))))]).toEqual([3009]);
  });

  it('batches rows of one length only where a model does not heed its attention mask', async () => {
    const scorer = await loadScorer(scorerFolder(lastPositionModel(), { pad_token: '[P]' }));
    expect([...(await scorer.score(rowsOf('one', 'one two', 'three')))]).toEqual([5, 5, 5]);
  });

  it('asks which of several logits is the score', async () => {
    const plain = scorerFolder(sumModel([1, 10]));
    await expect(loadScorer(plain)).rejects.toThrow(
      `${plain}: gives 2 logits a row; say which is the score, as ${plain}#LABEL with one of 0, 1`,
    );
    expect([...(await (await loadScorer(`${plain}#1`)).score(rowsOf('one')))]).toEqual([100]);

    const named = scorerFolder(sumModel([1, 10]), {}, { id2label: { 0: 'safe', 1: 'toxic' } });
    expect([...(await (await loadScorer(`${named}#toxic`)).score(rowsOf('one')))]).toEqual([100]);
    await expect(loadScorer(`${named}#rude`)).rejects.toThrow(
      'expected a label that is one of safe, toxic, got "rude"',
    );
  });

  it('refuses models that are not sequence classifiers', async () => {
    await expect(loadScorer(scorerFolder(tokenModel('input_ids')))).rejects.toThrow(
      'expected logits of shape [rows] or [rows, labels]',
    );
    await expect(loadScorer(scorerFolder(tokenModel('pixels')))).rejects.toThrow(
      'expected the inputs input_ids and attention_mask (and at most token_type_ids), got pixels, attention_mask',
    );
  });

  it('refuses scores that are not finite, naming the row', async () => {
    const scorer = await loadScorer(scorerFolder(poleModel(4 + 3 + 3 + 5)));
    await expect(scorer.score(rowsOf('one', 'three three'))).rejects.toThrow('gave Infinity for row 2');
  });
});
