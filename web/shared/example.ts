const PROMPTS = 200;
const RESPONSES = 32;

/** Scores whose helpful answers tend to be the less safe ones, the same on every visit. */
export function exampleFile(): File {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const normal = () =>
    Math.sqrt(2) * (uniform() + uniform() + uniform() + uniform() + uniform() + uniform() - 3);
  const rows: string[] = [];
  for (let n = 0; n < PROMPTS; n++) {
    const risk = normal();
    for (let k = 0; k < RESPONSES; k++) {
      const frankness = normal();
      const reward = 0.3 * risk + 1.2 * frankness + 0.8 * normal();
      const safety = -0.8 - 0.5 * risk - 1.1 * frankness + 0.9 * normal();
      rows.push(JSON.stringify({ prompt: `prompt ${n}`, reward, safety: [safety] }));
    }
  }
  return new File([`${rows.join('\n')}\n`], 'example.jsonl');
}
