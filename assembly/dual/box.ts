/** min_d qᵀd + ½dᵀHd over a box, for a positive semidefinite H of a few variables: a primal active-set method. */
import { allocate } from '../memory';

const FREE: u8 = 0;
const AT_LOW: u8 = 1;
const AT_HIGH: u8 = 2;

@unmanaged
export class Box {
  size: i32;
  /** f64[size] each: linear term, bounds (low ≤ 0 ≤ high), the solution, and the gradient there. */
  linear: usize;
  low: usize;
  high: usize;
  solution: usize;
  gradient: usize;
  /** f64[size][size], symmetric. */
  hessian: usize;
  /** u8[size]. */
  state: usize;
  /** u32[size]: the free variables of the current face. */
  free: usize;
  /** f64[size][size] and f64[size]: Cholesky factor and direction on the face. */
  factor: usize;
  direction: usize;
}

export function createBox(size: i32): usize {
  const box = changetype<Box>(allocate(offsetof<Box>()));
  const vector = (<usize>size) << 3;
  const matrix = vector * size;
  if (changetype<usize>(box) == 0) return 0;
  box.size = size;
  box.linear = allocate(vector);
  box.low = allocate(vector);
  box.high = allocate(vector);
  box.solution = allocate(vector);
  box.gradient = allocate(vector);
  box.hessian = allocate(matrix);
  box.state = allocate(size);
  box.free = allocate((<usize>size) << 2);
  box.factor = allocate(matrix);
  box.direction = allocate(vector);
  return box.direction == 0 ? 0 : changetype<usize>(box);
}

// @ts-ignore: decorator
@inline export function get(pointer: usize, index: i32): f64 {
  return load<f64>(pointer + ((<usize>index) << 3));
}

// @ts-ignore: decorator
@inline export function set(pointer: usize, index: i32, value: f64): void {
  store<f64>(pointer + ((<usize>index) << 3), value);
}

/** Leaves the minimiser in box.solution. `floor` > 0 is the least curvature that a direction is taken to have. */
export function minimise(box: Box, floor: f64): void {
  const m = box.size;
  memory.fill(box.solution, 0, (<usize>m) << 3);
  for (let j = 0; j < m; j++) {
    const slope = get(box.linear, j);
    store<u8>(
      box.state + j,
      slope > 0.0 && get(box.low, j) >= 0.0 ? AT_LOW : slope < 0.0 && get(box.high, j) <= 0.0 ? AT_HIGH : FREE,
    );
  }
  for (let iteration = 0; iteration < 20 * m + 20; iteration++) {
    updateGradient(box);
    if (moveOnFace(box, floor)) continue;
    updateGradient(box);
    if (!release(box)) return;
  }
}

function updateGradient(box: Box): void {
  const m = box.size;
  for (let i = 0; i < m; i++) {
    let sum = get(box.linear, i);
    for (let j = 0; j < m; j++) sum += get(box.hessian, i * m + j) * get(box.solution, j);
    set(box.gradient, i, sum);
  }
}

/** Goes towards the minimiser over the free variables; true when a bound stopped it short. */
function moveOnFace(box: Box, floor: f64): bool {
  const m = box.size;
  let size = 0;
  for (let j = 0; j < m; j++) {
    if (load<u8>(box.state + j) != FREE) continue;
    store<i32>(box.free + ((<usize>size) << 2), j);
    size++;
  }
  if (size == 0) return false;
  solveFace(box, size, floor);
  let length = 1.0;
  let blocking = -1;
  for (let i = 0; i < size; i++) {
    const j = load<i32>(box.free + ((<usize>i) << 2));
    const d = get(box.direction, i);
    if (d == 0.0) continue;
    const room = (d > 0.0 ? get(box.high, j) : get(box.low, j)) - get(box.solution, j);
    if (room / d < length) {
      length = room / d;
      blocking = j;
    }
  }
  for (let i = 0; i < size; i++) {
    const j = load<i32>(box.free + ((<usize>i) << 2));
    set(box.solution, j, get(box.solution, j) + length * get(box.direction, i));
  }
  if (blocking < 0) return false;
  const up = get(box.solution, blocking) > 0.5 * (get(box.low, blocking) + get(box.high, blocking));
  set(box.solution, blocking, up ? get(box.high, blocking) : get(box.low, blocking));
  store<u8>(box.state + blocking, up ? AT_HIGH : AT_LOW);
  return true;
}

/** direction := -(H + a ridge)⁻¹ gradient on the free variables, by Cholesky. */
function solveFace(box: Box, size: i32, floor: f64): void {
  const m = box.size;
  const L = box.factor;
  let most = floor;
  for (let i = 0; i < size; i++) {
    const j = load<i32>(box.free + ((<usize>i) << 2));
    most = max(most, get(box.hessian, j * m + j));
  }
  for (let i = 0; i < size; i++) {
    const row = load<i32>(box.free + ((<usize>i) << 2));
    for (let j = 0; j <= i; j++) {
      const column = load<i32>(box.free + ((<usize>j) << 2));
      let sum = get(box.hessian, row * m + column);
      if (i == j) sum += floor;
      for (let k = 0; k < j; k++) sum -= get(L, i * m + k) * get(L, j * m + k);
      // A pivot lost to rounding belongs to a direction without curvature: the bounds end the step there.
      set(L, i * m + j, i == j ? sqrt(max(sum, floor + 1e-15 * most)) : sum / get(L, j * m + j));
    }
  }
  for (let i = 0; i < size; i++) {
    let sum = -get(box.gradient, load<i32>(box.free + ((<usize>i) << 2)));
    for (let k = 0; k < i; k++) sum -= get(L, i * m + k) * get(box.direction, k);
    set(box.direction, i, sum / get(L, i * m + i));
  }
  for (let i = size - 1; i >= 0; i--) {
    let sum = get(box.direction, i);
    for (let k = i + 1; k < size; k++) sum -= get(L, k * m + i) * get(box.direction, k);
    set(box.direction, i, sum / get(L, i * m + i));
  }
}

/** Frees the bound variable whose gradient points furthest into the box; false when none does. */
function release(box: Box): bool {
  let most = 0.0;
  let chosen = -1;
  for (let j = 0; j < box.size; j++) {
    const state = load<u8>(box.state + j);
    if (state == FREE || get(box.low, j) == get(box.high, j)) continue;
    const inward = state == AT_LOW ? -get(box.gradient, j) : get(box.gradient, j);
    if (inward > most) {
      most = inward;
      chosen = j;
    }
  }
  if (chosen < 0) return false;
  // Rounding alone would free and bind the same variable for ever.
  let scale = 0.0;
  for (let j = 0; j < box.size; j++) scale = max(scale, abs(get(box.linear, j)));
  if (most <= 1e-13 * scale) return false;
  store<u8>(box.state + chosen, FREE);
  return true;
}
