/** `source` with the values of some of its `const NAME = 1u;` replaced. */
export function setConstants(source: string, constants: Readonly<Record<string, number>>): string {
  let text = source;
  for (const [name, value] of Object.entries(constants)) {
    const pattern = new RegExp(`\\bconst ${name} = \\d+u;`);
    if (!pattern.test(text))
      throw new Error(`shader: expected a constant ${name} to set to ${value}, got none`);
    text = text.replace(pattern, `const ${name} = ${value}u;`);
  }
  return text;
}

const LOOP =
  /^( *)\/\/ unroll\n\1for \(var (\w+) = (\d+)u; \2 < (?:(\d+)u|(\w+)); \2\+\+\) \{\n([\s\S]*?)^\1\}\n/m;

/**
 * Writes out the loops marked `// unroll`, whose bound is a number or a constant. Software drivers do not unroll, and
 * an array that is indexed by a variable costs them a gather for every element read.
 */
export function unroll(source: string): string {
  let text = source;
  for (let match = LOOP.exec(text); match; match = LOOP.exec(text)) {
    const [loop, indent, variable, start, literal, name, body] = match;
    const bound = literal ?? new RegExp(`\\bconst ${name} = (\\d+)u;`).exec(text)?.[1];
    if (bound === undefined)
      throw new Error(`shader: expected ${name}, the bound of a loop, to be a constant`);
    const use = new RegExp(`\\b${variable}\\b`, 'g');
    const rounds = Array.from(
      { length: Number(bound) - Number(start) },
      (_, i) => `${indent}{\n${body.replace(use, `${i + Number(start)}u`)}${indent}}\n`,
    );
    text = text.slice(0, match.index) + rounds.join('') + text.slice(match.index + loop.length);
  }
  return text;
}
