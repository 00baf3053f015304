/**
 * max cᵀx subject to Ax ≤ b, x ≥ 0, for b ≥ 0: the simplex method on a dense tableau, by Bland's rule, which cannot cycle.
 * Plain and slow, as an oracle for small problems. Throws where the maximum is infinite.
 */
export function maximise(
  c: readonly number[],
  A: readonly (readonly number[])[],
  b: readonly number[],
): number {
  const rows = A.map((row, i) => [...row, ...A.map((_, j) => (i === j ? 1 : 0)), b[i]]);
  const costs = [...c.map((value) => -value), ...A.map(() => 0), 0];
  const basis = A.map((_, i) => c.length + i);
  const last = costs.length - 1;
  for (;;) {
    const entering = costs.findIndex((cost, j) => j < last && cost < -1e-12);
    if (entering < 0) return costs[last];
    let leaving = -1;
    for (const [i, row] of rows.entries()) {
      if (row[entering] <= 1e-12) continue;
      const gain =
        leaving < 0 ? -1 : row[last] / row[entering] - rows[leaving][last] / rows[leaving][entering];
      if (gain < 0 || (gain === 0 && basis[i] < basis[leaving])) leaving = i;
    }
    if (leaving < 0) throw new Error('the maximum is infinite');
    basis[leaving] = entering;
    const pivot = rows[leaving][entering];
    const chosen = rows[leaving].map((value) => value / pivot);
    rows[leaving] = chosen;
    for (const row of [...rows, costs]) {
      if (row === chosen) continue;
      const factor = row[entering];
      for (const [j, value] of chosen.entries()) row[j] -= factor * value;
    }
  }
}
