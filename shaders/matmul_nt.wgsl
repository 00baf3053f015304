// uses: store_tile, weights
// out [m, n] = scale · A [m, k] · Bᵀ (+ out), B [n, k], k and n multiples of 4, B
// weights that begin at vector `first4`. Each invocation keeps a tile of TILE_M rows
// and 4 · TILE_N4 columns in registers and runs over k in order, without barriers.
const TILE_M = 8u; // rows of a tile, set by the host
const TILE_N4 = 2u; // columns of a tile / 4, set by the host
const GROUP = 16u; // invocations of a workgroup, set by the host
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

@compute @workgroup_size(GROUP)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let tiles = (params.n + 4u * TILE_N4 - 1u) / (4u * TILE_N4);
  let tile = id.x + id.y * groups.x * GROUP;
  let row = tile / tiles * TILE_M;
  let column = tile % tiles * 4u * TILE_N4;
  if (row >= params.m) {
    return;
  }
  let k4 = params.k / 4u;
  var a_at: array<u32, TILE_M>;
  var b_at: array<vec4u, TILE_N4>;
  var sum: array<array<vec4f, TILE_N4>, TILE_M>;
  // Rows and columns past the edge repeat the last one and are not stored.
  // unroll
  for (var r = 0u; r < TILE_M; r++) {
    a_at[r] = (min(row + r, params.m - 1u) * params.k_stride + params.first_k) / 4u;
  }
  // unroll
  for (var c = 0u; c < TILE_N4; c++) {
    b_at[c] = min(vec4u(column + 4u * c) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u)) * k4 + params.first4;
  }
  // Not unrolled, as the stores.
  for (var r = 0u; r < TILE_M; r++) {
    // unroll
    for (var c = 0u; c < TILE_N4; c++) {
      sum[r][c] = carried(row + r, column + 4u * c);
    }
  }
  for (var i = 0u; i < k4; i++) {
    var panel: array<mat4x4f, TILE_N4>;
    // unroll
    for (var c = 0u; c < TILE_N4; c++) {
      let at = b_at[c] + i;
      panel[c] = transpose(mat4x4f(weights4(at.x), weights4(at.y), weights4(at.z), weights4(at.w)));
    }
    // unroll
    for (var r = 0u; r < TILE_M; r++) {
      let values = a[a_at[r] + i];
      // unroll
      for (var c = 0u; c < TILE_N4; c++) {
        let first = sum[r][c] + values.x * panel[c][0] + values.y * panel[c][1];
        sum[r][c] = first + values.z * panel[c][2] + values.w * panel[c][3];
      }
    }
  }
  // Not unrolled: the code of stores takes long to compile.
  for (var r = 0u; r < TILE_M; r++) {
    // unroll
    for (var c = 0u; c < TILE_N4; c++) {
      store(0u, row + r, column + 4u * c, sum[r][c]);
    }
  }
}
