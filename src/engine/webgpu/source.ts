const SETTABLE = /^const (\w+) = \d+u; \/\/ .*set by the host$/gm;

/** `source` with its constants marked `set by the host` set. */
export function setConstants(source: string, constants: Readonly<Record<string, number>>): string {
  const names = Array.from(source.matchAll(SETTABLE), (match) => match[1]).sort();
  const given = Object.keys(constants).sort();
  if (names.join() !== given.join()) {
    throw new Error(`shader: expected the constants ${names.join(', ')}, got ${given.join(', ')}`);
  }
  return source.replace(SETTABLE, (_, name: string) => `const ${name} = ${constants[name]}u;`);
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
