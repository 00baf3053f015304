/** Learning and aligning: what they tell meanwhile, and what of the state they change in the end. */
import type { State, Work } from '../shared/state.ts';
import type { Told } from '../work/protocol.ts';
import { evenPlace, planBalance, tradeOff } from './plan.ts';
import type { JobWorker } from './worker.ts';

/** Sentences of a run that are kept to be shown. */
const SAID = 4;

/** What is shown of work once it has told something. */
export function progressOf(told: Told, { said }: Work): Partial<Work> {
  switch (told.kind) {
    case 'stage':
      return { stage: told.name, note: told.note, done: undefined, total: undefined };
    case 'advance': {
      const { kind: _, ...progress } = told;
      return progress;
    }
    case 'say':
      return { said: [...said, told.text].slice(-SAID) };
    case 'text':
      return {};
  }
}

/** Does the work; fails with `Stopped` where it is ended. What it has reached is on disk at all times. */
export async function outcomeOf(
  worker: JobWorker,
  { goal, config, counts }: Work,
  { model, settings }: State,
  onTold: (told: Told) => void,
): Promise<Partial<State>> {
  if (goal === 'learn') {
    const agreement = await worker.run({ kind: 'learn', model, settings, config }, onTold);
    const curve = await tradeOff(settings.beta);
    const balance = await planBalance(curve, evenPlace(curve));
    return { learned: { config, counts, agreement, curve }, balance };
  }
  const { lambda, evaluation, hazard } = await worker.run({ kind: 'align', model, settings, config }, onTold);
  const { gain, predicted, prompts, reference } = evaluation;
  const aligned = {
    lambda,
    gain: { reward: gain.reward, safety: gain.safety[0] },
    margin: config.limits![0].value,
    promised: predicted.safety[0] - reference.safety[0].mean,
    prompts,
    hazard,
  };
  return { aligned, answersBy: 'aligned' };
}
