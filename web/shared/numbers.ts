/** Four digits; a real minus, which does not break from its number. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return '∞';
  const text = Math.abs(value) >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace('-', '−');
}

/** Several of them. */
export const list = (values: readonly number[]) => values.map(shown).join(', ');
