/** Options of everything in a run but training. */
import { InvalidArgumentError } from 'commander';
import { BASELINE } from '../align/config.ts';
import { integer, jsonObject, list, number, type OptionRow, positiveInteger } from './option_values.ts';

export type RunGroup =
  | 'policy'
  | 'prompts'
  | 'sampling'
  | 'drawing'
  | 'generation'
  | 'scorers'
  | 'preferences'
  | 'comparison'
  | 'limits'
  | 'decoding'
  | 'labels'
  | 'rounds'
  | 'alone';

/** Names of baselines; weights=0.5:1 are the baselines weight=0.5 and weight=1. */
export function baselineList(text: string): string[] {
  const names = list(text).flatMap((item) =>
    item.startsWith('weights=')
      ? item
          .slice('weights='.length)
          .split(':')
          .map((weight) => `weight=${weight}`)
      : [item],
  );
  const wrong = names.find((name) => !BASELINE.test(name));
  if (wrong !== undefined) {
    throw new InvalidArgumentError(
      `expected helpful, safe, primal-dual or weights=0.5:1:2, separated by commas; got ${wrong}.`,
    );
  }
  return [...new Set(names)];
}

/** How a token is drawn, and where a response ends. */
const DRAWING: readonly OptionRow[] = [
  ['--max-new-tokens <n>', 'longest response in tokens (64)', integer],
  ['--temperature <t>', 'sampling temperature (1)', number],
  ['--top-k <k>', 'sample from the k most likely tokens; 0: all (0)', integer],
  ['--top-p <p>', 'sample from the most likely tokens that make up p; 1: all (1)', number],
  [
    '--repetition-penalty <p>',
    'logits of tokens that prompt or response hold are divided by p, or multiplied below 0 (1)',
    number,
  ],
  ['--stop <text>', 'text that ends a response, which is kept up to there; repeatable'],
  ['--generation-batch-size <n>', 'responses sampled at once (128)', integer],
];

export const RUN_OPTIONS: Record<RunGroup, readonly OptionRow[]> = {
  policy: [
    ['--policy <model>', 'Hugging Face model folder, org/name[@revision] of a hub, or the URL of a folder'],
    [
      '--chat-template <which>',
      "auto: prompts of messages go through the model's chat template; always: plain prompts too; or a .jinja file (auto)",
    ],
    [
      '--chat-template-kwargs <json>',
      "settings of the chat template's own, such as '{\"enable_thinking\": false}' of Qwen3's",
      jsonObject,
    ],
    [
      '--device <name>',
      'where it runs: webgpu, cpu (same bits on every host), or auto: a GPU if there is one, else cpu (auto)',
    ],
    [
      '--dtype <name>',
      'what its weights are held as: float32, float16, bfloat16, nf4 (4 bits, as in QLoRA), or auto: float32 where they fit, else as stored (auto)',
    ],
  ],
  prompts: [
    ['--prompts <file>', 'prompts, JSON Lines with a field "prompt", or .txt with one a line'],
    ['--eval-prompts <file>', 'prompts held out for evaluation; without it a part of --prompts is'],
    ['--eval-fraction <f>', 'part of --prompts held out for evaluation (0.25)', number],
    ['--seed <n>', 'seed of everything drawn at random (0)', integer],
  ],
  sampling: [['--responses <K>', 'responses drawn per prompt (16)', integer], ...DRAWING],
  drawing: DRAWING,
  generation: [
    ['--responses <n>', 'responses to the prompt (1)', positiveInteger],
    ['--seed <n>', 'seed of everything drawn at random (0)', integer],
    ...DRAWING,
  ],
  scorers: [
    [
      '--reward <scorer>',
      'what to maximise: an ONNX folder (model.onnx, tokenizer.json; folder#label picks a logit), a folder of dualign reward, or a module (.ts, .js; module#name)',
    ],
    ['--cost <scorer>', 'a scorer of harm: safety is its negative; repeatable'],
    ['--safety <scorer>', 'a scorer of safety, higher is safer; repeatable'],
  ],
  preferences: [
    [
      '--helpful <file>',
      'PeCAN, in place of --reward: preferences by helpfulness, rows {prompt, chosen, rejected}, or with better_response_id',
    ],
    [
      '--safe <file>',
      'PeCAN, in place of --cost and --safety: preferences by safety, or rows with safer_response_id; repeatable',
    ],
    [
      '--beta-pre <b>',
      'weight of the KL divergence when policies learn these preferences (that of --beta)',
      number,
    ],
  ],
  comparison: [
    [
      '--measure <scorer>',
      'a scorer that takes no part in the run and only measures its outcome, more is better; repeatable',
    ],
    ['--measure-cost <scorer>', 'the same, where less is better; repeatable'],
    [
      '--baselines <names>',
      'policies to train for comparison, comma separated: helpful (by the reward alone), safe (by safety alone), ' +
        'weights=0.5:1:2 (by r + w·g, one for each w), primal-dual (λ stepped between updates of the policy)',
      baselineList,
    ],
    [
      '--dual-learning-rate <eta>',
      'of primal-dual: the step of λ (β over the mean variance of the safety score)',
      number,
    ],
    ['--primal-dual-iterations <n>', 'of primal-dual: most updates of the policy (12)', positiveInteger],
  ],
  limits: [
    ['--beta <b>', 'weight of the KL divergence from the policy, in the dual and in DPO', number],
    [
      '--margin <b>',
      'mean safety must exceed that of the policy by b; one per --cost or --safety, in order',
      number,
    ],
    ['--threshold <b>', 'mean safety must be at least b; in place of a --margin', number],
  ],
  decoding: [
    [
      '--decoding <how>',
      'how the aligned policy answers: adapter: one is trained; without training, resample: one of K responses by λ*; ' +
        'mix: the pre-aligned policies of PeCAN, mixed at every token (adapter)',
    ],
  ],
  rounds: [
    [
      '--rounds <n>',
      'train n times, λ found again each time from what the policy has come to answer (1: one-shot)',
      positiveInteger,
    ],
    [
      '--round-epochs <n>',
      'passes over the pairs in each round after the first (as in the first)',
      positiveInteger,
    ],
  ],
  labels: [
    ['--pairs-per-prompt <n>', 'preference pairs made of the responses to a prompt (all)', integer],
    [
      '--labels <kind>',
      'soft: keep the probability of the preference; drawn: draw it once, as in the paper (soft)',
    ],
    [
      '--pecan-labels <kind>',
      'scaled: label by β_pre·(s_r + λᵀs_g); unscaled: without β_pre, as the authors’ code (scaled)',
    ],
  ],
  alone: [
    [
      '--lambda <l>',
      'weight of a safety in the reward r + λᵀg, as dualign dual prints it; one per --cost or --safety, in order',
      number,
    ],
    ['--beta <b>', 'weight of the KL divergence from the policy (0.05)', number],
    ['--prompts <file>', 'prompts, JSON Lines with a field "prompt", or .txt with one a line'],
    ['--seed <n>', 'seed of everything drawn at random (0)', integer],
  ],
};
