/** What the stages of a run are called before their own names. */
const STAGES: Readonly<Record<string, string>> = {
  collect: 'The model answers each prompt several times',
  score: 'The answers are scored',
  dual: 'The price of safety is computed',
  label: 'Pairs of answers are made, the better one first',
  'reference log-probs': 'The model as it is reads the pairs',
  train: 'The model learns from the pairs',
  'evaluate reference': 'The model as it was answers prompts it has not seen',
  'evaluate aligned': 'The aligned model answers them',
  evaluate: 'Before and after are compared',
  compare: 'The outcome is measured',
  report: 'The report is written',
};

/** Parts of a run that have stages of their own. */
const PARTS: Readonly<Record<string, string>> = {
  'pre-align helpful': 'Pairs by help',
  'pre-align safe 1': 'Pairs by safety',
};

/** A stage in plain words. */
export function stageWords(name: string): string {
  const cut = name.lastIndexOf(': ');
  const [part, stage] = cut < 0 ? ['', name] : [name.slice(0, cut), name.slice(cut + 2)];
  const words = STAGES[stage] ?? stage;
  return part === '' ? words : `${PARTS[part] ?? part}: ${words}`;
}

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '';
  const whole = Math.round(seconds);
  return whole < 90 ? `${whole} s` : `${Math.round(whole / 60)} min`;
}
