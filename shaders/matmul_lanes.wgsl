// uses: store_tile, weights
// out [m, n] = scale · A [m, k] · B (+ out), B [k, n], or [n, k] where TRANSPOSED, of few rows or few columns; k and n
// multiples of 4, weights that begin at vector `first4`. 32 lanes share a sum: each takes every 32nd vector of k in order,
// so that they load B side by side, and what they have is added up in a fixed tree. A workgroup takes 8 columns.
const TRANSPOSED = 0u; // 1 where B is [n, k], set by the host
const ROWS = 2u; // of a workgroup, set by the host
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

const LANES = 32u;
const INVOCATIONS = 64u;
const PLACES = ROWS * INVOCATIONS;
var<workgroup> sums: array<vec4f, PLACES>; // [ROWS, INVOCATIONS]

@compute @workgroup_size(INVOCATIONS)
fn main(
  @builtin(local_invocation_index) index: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let tiles = (params.n + 7u) / 8u;
  let tile = group.x + group.y * groups.x;
  let row = tile / tiles * ROWS;
  let column = tile % tiles * 8u + index / LANES * 4u;
  let lane = index % LANES;
  let k4 = params.k / 4u;
  let n4 = params.n / 4u;
  // Rows and columns past the edge repeat the last ones and are not stored.
  let from_column = min(column, params.n - 4u);
  var a_at: array<u32, ROWS>;
  var sum: array<vec4f, ROWS>;
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    a_at[r] = (min(row + r, params.m - 1u) * params.k_stride + params.first_k) / 4u;
  }
  for (var i = lane; i < k4; i = i + LANES) {
    var panel: mat4x4f;
    if (TRANSPOSED == 1u) {
      let at = params.first4 + from_column * k4 + i;
      panel = transpose(mat4x4f(weights4(at), weights4(at + k4), weights4(at + 2u * k4), weights4(at + 3u * k4)));
    } else {
      let at = params.first4 + 4u * i * n4 + from_column / 4u;
      panel = mat4x4f(weights4(at), weights4(at + n4), weights4(at + 2u * n4), weights4(at + 3u * n4));
    }
    // unroll
    for (var r = 0u; r < ROWS; r++) {
      let values = a[a_at[r] + i];
      let first = sum[r] + values.x * panel[0] + values.y * panel[1];
      sum[r] = first + values.z * panel[2] + values.w * panel[3];
    }
  }
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    sums[r * INVOCATIONS + index] = sum[r];
  }
  for (var half = LANES / 2u; half > 0u; half = half / 2u) {
    workgroupBarrier();
    if (lane < half) {
      // unroll
      for (var r = 0u; r < ROWS; r++) {
        let at = r * INVOCATIONS + index;
        sums[at] = sums[at] + sums[at + half];
      }
    }
  }
  if (lane == 0u) {
    // unroll
    for (var r = 0u; r < ROWS; r++) {
      store(0u, row + r, column, sums[r * INVOCATIONS + index]);
    }
  }
}
