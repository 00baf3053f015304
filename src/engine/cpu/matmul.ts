/** How the CPU engine cuts a product into units of work. Only `kernel` touches the bits, and it hangs on k alone. */
export interface MatmulPlan {
  readonly kernel: 'matmulDot' | 'matmulTile';
  readonly rowSize: number;
  readonly columnSize: number;
  readonly units: number;
}

/** Shorter sums do not pay for adding up the lanes of `matmulDot`. */
const DOT_LEAST = 32;
/** Rows of a that stay in the L2 cache while all columns pass. */
const DOT_ROWS = 64;
/** Columns of b that stay packed in the L2 cache while all rows pass. */
const TILE_COLUMNS = 192;

export function matmulPlan(
  m: number,
  n: number,
  k: number,
  transposeA: boolean,
  transposeB: boolean,
): MatmulPlan {
  const dot = !transposeA && transposeB && k >= DOT_LEAST;
  const rowSize = dot ? DOT_ROWS : Math.max(m, 1);
  const columnSize = dot ? Math.max(n, 1) : TILE_COLUMNS;
  const units = Math.ceil(m / rowSize) * Math.ceil(n / columnSize);
  return { kernel: dot ? 'matmulDot' : 'matmulTile', rowSize, columnSize, units };
}
