import { describe, expect, it } from 'vitest';
import { addAdapter, loadPolicy } from '../../src/model/policy.ts';
import { loadRewardModel, saveRewardModel } from '../../src/model/reward_model.ts';
import { EngineScorer } from '../../src/score/engine.ts';
import { OnnxScorer } from '../../src/score/onnx.ts';
import { engines } from '../model/engines.ts';
import { tinyFolder } from '../model/tiny.ts';
import { MemoryFolder } from '../support/memory_folder.ts';

const rows = [
  { prompt: 'the cat', response: ' sat on mat' },
  { prompt: 'the dog', response: ' ran' },
];

describe.each(engines)('a saved reward model, $name engine', ({ open }) => {
  it('scores the same run by an engine and as ONNX, and is laid out as transformers has it', async () => {
    const engine = await open();
    const base = await tinyFolder();
    const model = await loadRewardModel(engine, base, { seed: 1 });
    const adapter = addAdapter(model, { r: 2, lora_alpha: 3, target_modules: ['all-linear'] }, 3);
    const factors = await adapter.read();
    engine.write(
      adapter.parameters,
      factors.map((x, i) => x + 0.2 * Math.sin(i)),
    );
    const out = new MemoryFolder();
    await saveRewardModel(model, base, out, { onnxLength: 16 });

    const config = JSON.parse(await out.readText('config.json'));
    expect(config).toMatchObject({
      architectures: ['LlamaForSequenceClassification'],
      id2label: { 0: 'LABEL_0' },
      pad_token_id: 2,
    });
    const scorer = await EngineScorer.load(engine, out);
    const scores = await scorer.score(rows);
    expect(scores[0]).not.toBeCloseTo(scores[1], 3);
    expect([...(await scorer.score([rows[1]]))]).toEqual([scores[1]]);
    const onnx = await (await OnnxScorer.load(out)).score(rows);
    for (const [i, score] of scores.entries()) expect(onnx[i]).toBeCloseTo(score, 5);

    await expect(loadPolicy(engine, out)).rejects.toThrow('expected LlamaForCausalLM');
    await expect(EngineScorer.load(engine, base)).rejects.toThrow(
      'expected a model with a score head (…ForSequenceClassification), got ["LlamaForCausalLM"]',
    );
    engine.destroy();
  });
});
