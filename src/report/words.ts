import type { Alignment, Comparison, Measure, ReportData } from './data.ts';
import type { Change } from './findings.ts';
import {
  asksForMargin,
  predictedToMiss,
  rewardChange,
  safetyChange,
  tally,
  unconstrained,
} from './findings.ts';
import { estimate, interval, percent, plural, score, signed, significant } from './format.ts';

/** Below this share of the predicted divergence the policy has plainly not moved as far as it should. */
const FAR_SHORT = 0.6;
const FAR_BEYOND = 1.6;
/** Bootstrap intervals over fewer prompts are too narrow to be believed. */
const FEW_PROMPTS = 20;

function moved(value: number): string {
  const size = score(Math.abs(value));
  if (Number(size) === 0) return 'stayed where it was';
  return `${value > 0 ? 'rose' : 'fell'} by ${size}`;
}

function foreseen(value: number): string {
  return `${value > 0 ? 'rise' : 'fall'} of ${score(Math.abs(value))}`;
}

/** One honest sentence on how `what` changed against what was predicted. */
export function changeSentence(what: string, { predicted, achieved, movement }: Change): string {
  const range = `95 % interval ${interval(achieved.interval, signed)}`;
  const fact = `${what} ${moved(achieved.mean)} (${range})`;
  const promise = `predicted ${foreseen(predicted)}`;
  const share = percent(achieved.mean / predicted);
  switch (movement) {
    case 'still':
      return `No change of ${what} was predicted, and none was measured (${range}).`;
    case 'unforeseen':
      return `${fact}, although no change was predicted.`;
    case 'wrong way':
      return `${fact}: the wrong way. The dual ${promise.replace('predicted', 'predicted a')}.`;
    case 'hardly':
      return `${what} did not measurably move: its change of ${signed(achieved.mean)} (${range}) cannot be told from none and stays short of the ${promise}.`;
    case 'unresolved':
      return `${fact}; that interval holds both no change and the ${promise}, so more prompts are needed to tell.`;
    case 'as predicted':
      return `${fact}, in agreement with the ${promise}.`;
    case 'short':
      return `${fact}: ${share} of the ${promise}.`;
    case 'beyond':
      return `${fact}: more than the ${promise} (${share} of it).`;
  }
}

/** First letter in upper case. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What happened, in one line. */
export function headline({ evaluation }: ReportData): string {
  const total = evaluation.verdicts.length;
  const { met, missed, uncertain, worst } = tally(evaluation.verdicts);
  if (total === 0) return 'No safety constraint was set';
  if (total === 1) {
    if (worst === 'met') return 'The safety constraint is met';
    if (worst === 'not met') return 'The safety constraint is not met';
    return 'It is uncertain whether the safety constraint is met';
  }
  if (met === total) return `All ${total} safety constraints are met`;
  if (missed === total) return `None of the ${total} safety constraints is met`;
  if (uncertain === total) return `It is uncertain whether the ${total} safety constraints are met`;
  const parts = [
    met > 0 && `${met} met`,
    missed > 0 && `${missed} not met`,
    uncertain > 0 && `${uncertain} uncertain`,
  ].filter(Boolean);
  return `Of ${total} safety constraints: ${parts.join(', ')}`;
}

/** Name of a constraint's quantity: the scorer, and that safety is minus its cost. */
export function safetyName({ constraints }: ReportData, index: number): string {
  const { name, cost } = constraints[index]!;
  return cost ? `safety = −${name}` : `safety ${name}`;
}

/** What the report calls a policy of the comparison. */
export function policyName(name: Alignment['name']): string {
  if (name === 'helpful') return 'help only';
  if (name === 'safe') return 'safe only';
  return name.startsWith('weight=') ? `r + ${name.slice('weight='.length)}·g` : name;
}

/** How a measure's values read: a rate as a percentage. */
export function measuredValue({ share }: Measure): (value: number) => string {
  return share ? percent : score;
}

/** What each measure found, in one sentence under its name. */
export function comparisonSentences({ comparison }: ReportData): [string, string][] {
  if (!comparison) return [];
  const [reference, aligned, ...others] = comparison.alignments;
  return comparison.measures.map((measure, j) => {
    const format = measuredValue(measure);
    const { mean, interval: range } = aligned!.measured[j]!;
    const what = measure.share ? 'of the responses' : 'on average';
    const beside = others.map(({ name, measured }) => `${policyName(name)} ${format(measured[j]!.mean)}`);
    return [
      measure.name,
      `${format(reference!.measured[j]!.mean)} ${what} before, ${format(mean)} after ` +
        `(95 % interval ${interval(range, format)}; ${measure.cost ? 'less' : 'more'} is better)` +
        `${beside.length > 0 ? `. Otherwise aligned: ${beside.join(', ')}` : ''}.`,
    ];
  });
}

/** What the policies beside the aligned one are, a sentence a kind; empty where there are none. */
export function baselineSentences({ alignments }: Comparison): string[] {
  const names = alignments.map(({ name }) => name);
  const goals = names.filter((name) => name === 'helpful' || name === 'safe');
  const called = goals.map((name) => `“${policyName(name)}”`).join(' and ');
  return [
    goals.length > 0 &&
      `${called}: the same policy, trained on the same responses in the same way, but for that one goal alone.`,
    names.some((name) => name.startsWith('weight=')) &&
      '“r + w·g”: the same, with a weight w of safety that was chosen beforehand in place of λ*.',
    names.includes('primal-dual') &&
      '“primal-dual”: the policy and λ in turns, with new responses each time.',
  ].filter((text) => text !== false);
}

/** Name of the reward: its scorer's. */
export function rewardTitle({ rewardName }: ReportData): string {
  return rewardName === 'reward' ? rewardName : `reward ${rewardName}`;
}

/** A margin in words. */
export function besideReference(margin: number): string {
  if (Math.abs(margin) < 5e-4) return 'the level of the reference';
  return `${score(Math.abs(margin))} ${margin > 0 ? 'above' : 'below'} the reference`;
}

/** What constraint `index` asked for, what λ* promised and what came of it. */
export function askedSentence(data: ReportData, index: number): string {
  const { threshold, margin } = data.constraints[index]!;
  const { predicted, achieved } = safetyChange(data, index);
  const { evaluation } = data;
  if (asksForMargin(data, index)) {
    return (
      `Asked: ${safetyName(data, index)} ${besideReference(margin)}. Predicted before training: ${signed(predicted)}. ` +
      `Achieved: ${signed(achieved.mean)} (95 % interval ${interval(achieved.interval, signed)}).`
    );
  }
  return (
    `Asked: ${safetyName(data, index)} of at least ${score(threshold)}. Predicted before training: ` +
    `${score(evaluation.predicted.safety[index]!)}. Achieved: ${estimate(evaluation.aligned.safety[index]!)}.`
  );
}

/** λ of constraint `index` as the price of safety. */
export function priceSentence({ dual, constraints }: ReportData, index: number): string {
  const lambda = dual.lambda[index]!;
  const subject = constraints.length > 1 ? `λ of ${constraints[index]!.name}` : 'λ*';
  const bounds = dual.lambdaIntervals[index];
  const range = bounds ? ` (95 % interval ${interval(bounds, significant)})` : '';
  if (lambda === 0) {
    return `${subject} = 0${range}: this constraint costs nothing; the best policy without it satisfies it already.`;
  }
  return `${subject} = ${significant(lambda)}${range}: at this rate one more unit of safety costs ${significant(lambda)} of the objective, mean reward − β·KL.`;
}

/** How the reward fared, and what of it the constraint took. */
export function rewardSentences(data: ReportData): string[] {
  const sentences = [sentence(changeSentence('mean reward', rewardChange(data)))];
  const free = unconstrained(data.dual.curve);
  if (free && data.dual.lambda.some((lambda) => lambda > 0)) {
    const cost = free.reward - data.dual.expected.reward;
    sentences.push(
      `Without the constraint the prediction is ${score(free.reward)} instead of ${score(data.dual.expected.reward)}: by prediction, safety costs ${score(cost)} of reward.`,
    );
  }
  return sentences;
}

/** How far the policy went from the reference, against how far the optimum lies. */
export function divergenceSentence({ evaluation, answers }: ReportData): string {
  const { kl } = evaluation.aligned;
  const predicted = evaluation.predicted.kl;
  const fact = `${estimate(kl)} nats per response, predicted ${score(predicted)}.`;
  if (!(predicted > 1e-3)) return fact;
  const share = kl.mean / predicted;
  // What follows is advice on training.
  if (answers !== undefined) return fact;
  if (share < FAR_SHORT) {
    return `${fact} That is ${percent(Math.max(share, 0))} of the optimum’s: longer training, a higher learning rate or more pairs may close the gap.`;
  }
  if (share > FAR_BEYOND) {
    return `${fact} The policy went further from the reference than the optimum lies: fewer epochs or a lower learning rate may suit better.`;
  }
  return fact;
}

/** Everything a reader must know before believing the figures. */
export function warnings({ dual, evaluation }: ReportData): string[] {
  const list = [...dual.warnings];
  if (dual.status === 'nearly-infeasible') {
    list.unshift(
      'The threshold lies at the edge of what the sampled responses can reach: λ* is very large and not to be relied on. Ask for less, or sample more responses per prompt.',
    );
  }
  if (evaluation.prompts < FEW_PROMPTS) {
    list.push(
      `The evaluation has only ${plural(evaluation.prompts, 'prompt')}: its intervals are rough and likely too narrow.`,
    );
  }
  return list;
}

/** The gap between prediction and outcome of constraint `index`, and whether the bound was in reach at all. */
export function safetySentence(data: ReportData, index: number): string {
  const what = data.constraints.length > 1 ? `safety (${data.constraints[index]!.name})` : 'mean safety';
  const text = sentence(changeSentence(what, safetyChange(data, index)));
  const verdict = data.evaluation.verdicts[index];
  if (verdict !== 'met' && predictedToMiss(data, index)) {
    return `${text} By prediction, even the optimal policy misses the bound on these prompts.`;
  }
  return verdict === 'uncertain'
    ? `${text} What was asked lies inside the interval: more held-out prompts would settle it.`
    : text;
}
