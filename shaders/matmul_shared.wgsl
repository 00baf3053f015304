// uses: store_tile, weights
// out [m, n] = scale · A [m, k] · B (+ out), B [k, n], or [n, k] where TRANSPOSED; k and n multiples of 4, weights that
// begin at vector `first4`. A workgroup takes SIDE × SIDE results and shares 16 k of A and B at a time; an invocation keeps
// a block of 4 × 4 of every 64 × 64 and adds up k in the order, and in the sums, of matmul_nn and matmul_nt, so that the
// bits are theirs.
const TRANSPOSED = 0u; // 1 where B is [n, k], set by the host
const HALVES = 1u; // SIDE / 64, set by the host
const ROWS = 4u; // of an invocation: 4 · HALVES, set by the host
struct Params {
  m: u32,
  n: u32,
  k: u32,
  stride: u32,
  first_column: u32,
  k_stride: u32,
  first_k: u32,
  scale: f32,
  accumulate: u32,
  carry: u32,
  first4: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;

const SIDE = 64u * HALVES;
const SIDE4 = 16u * HALVES;
const SIZE = 4u * SIDE;
var<workgroup> left: array<vec4f, SIZE>; // [4 vectors along k, SIDE rows]
var<workgroup> right: array<vec4f, SIZE>; // [16 k, SIDE4 vectors], or [4 vectors along k, 4 columns, SIDE4] where TRANSPOSED

/// Where `right` holds a vector along k of column 4 · column4 + c: turned around, so that neither stores nor loads of
/// neighbours meet in one bank of memory.
fn turned(quarter: u32, c: u32, column4: u32) -> u32 {
  return quarter * SIDE + c * SIDE4 + (column4 + c + 2u * quarter) % SIDE4;
}

@compute @workgroup_size(256)
fn main(
  @builtin(local_invocation_index) index: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let tiles = (params.n + SIDE - 1u) / SIDE;
  let tile = group.x + group.y * groups.x;
  let first_row = tile / tiles * SIDE;
  let first_column = tile % tiles * SIDE;
  let row = index / 16u * 4u;
  let column4 = index % 16u;
  let quarter = index % 4u;
  let k4 = params.k / 4u;
  let n4 = params.n / 4u;
  var sum: array<array<vec4f, HALVES>, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    // unroll
    for (var h = 0u; h < HALVES; h++) {
      sum[r][h] = carried(first_row + r / 4u * 64u + row + r % 4u, first_column + h * 64u + 4u * column4);
    }
  }
  for (var start = 0u; start < k4; start = start + 4u) {
    // What lies past an edge repeats the last of it and is not used.
    let from_k4 = min(start + quarter, k4 - 1u);
    // unroll
    for (var h = 0u; h < HALVES; h++) {
      let here = h * 64u + index / 4u;
      let left_row = min(first_row + here, params.m - 1u);
      left[quarter * SIDE + (here + 2u * quarter) % SIDE] = a[(left_row * params.k_stride + params.first_k) / 4u + from_k4];
      if (TRANSPOSED == 1u) {
        let place = min(first_column + here, params.n - 1u) * k4 + from_k4;
        right[turned(quarter, here % 4u, here / 4u)] = weights4(params.first4 + place);
      } else {
        let at = h * 256u + index;
        let from_k = min(4u * start + at / SIDE4, params.k - 1u);
        let place = from_k * n4 + min(first_column / 4u + at % SIDE4, n4 - 1u);
        right[at] = weights4(params.first4 + place);
      }
    }
    workgroupBarrier();
    for (var i = 0u; i < min(4u, k4 - start); i = i + 1u) {
      var panel: array<mat4x4f, HALVES>;
      // unroll
      for (var h = 0u; h < HALVES; h++) {
        let at = h * 16u + column4;
        if (TRANSPOSED == 1u) {
          let columns = mat4x4f(
            right[turned(i, 0u, at)],
            right[turned(i, 1u, at)],
            right[turned(i, 2u, at)],
            right[turned(i, 3u, at)],
          );
          panel[h] = transpose(columns);
        } else {
          let place = i * SIDE + at;
          panel[h] = mat4x4f(right[place], right[place + SIDE4], right[place + 2u * SIDE4], right[place + 3u * SIDE4]);
        }
      }
      // unroll
      for (var r = 0u; r < ROWS; r++) {
        let values = left[i * SIDE + (r / 4u * 64u + row + r % 4u + 2u * i) % SIDE];
        // unroll
        for (var h = 0u; h < HALVES; h++) {
          let first = sum[r][h] + values.x * panel[h][0] + values.y * panel[h][1];
          sum[r][h] = first + values.z * panel[h][2] + values.w * panel[h][3];
        }
      }
    }
    workgroupBarrier();
  }
  // Not unrolled: the code of stores takes long to compile.
  for (var r = 0u; r < ROWS; r++) {
    // unroll
    for (var h = 0u; h < HALVES; h++) {
      store(0u, first_row + r / 4u * 64u + row + r % 4u, first_column + h * 64u + 4u * column4, sum[r][h]);
    }
  }
}
