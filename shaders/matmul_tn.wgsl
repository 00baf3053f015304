// uses: store_tile
// out [k / span, m, n] = scale · Aᵀ · B (+ out) over each span of k, A [k, m], B [k, n], m and n multiples of 4. Each
// invocation keeps a tile of 4 · TILE_M4 rows and 4 · TILE_N4 columns in registers and runs over its k in order.
const TILE_M4 = 2u; // rows of a tile / 4, set by the host
const TILE_N4 = 2u; // columns of a tile / 4, set by the host
const GROUP = 16u; // invocations of a workgroup, set by the host
struct Params {
  m: u32,
  n: u32,
  k: u32,
  span: u32,
  stride: u32,
  first_column: u32,
  m_stride: u32,
  first_m: u32,
  scale: f32,
  accumulate: u32,
  carry: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;
@group(0) @binding(3) var<storage, read> b: array<vec4f>;

@compute @workgroup_size(GROUP)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let tiles = (params.n + 4u * TILE_N4 - 1u) / (4u * TILE_N4);
  let row_tiles = (params.m + 4u * TILE_M4 - 1u) / (4u * TILE_M4);
  let tile = id.x + id.y * groups.x * GROUP;
  let row = tile / tiles % row_tiles * 4u * TILE_M4;
  let column = tile % tiles * 4u * TILE_N4;
  let part = tile / (tiles * row_tiles);
  let start = part * params.span;
  if (start >= params.k) {
    return;
  }
  let m4 = params.m / 4u;
  let m_stride4 = params.m_stride / 4u;
  let n4 = params.n / 4u;
  var a_at: array<u32, TILE_M4>;
  var b_at: array<u32, TILE_N4>;
  var sum: array<array<mat4x4f, TILE_N4>, TILE_M4>;
  // Rows and columns past the edge repeat the last ones and are not stored.
  // unroll
  for (var r = 0u; r < TILE_M4; r++) {
    a_at[r] = params.first_m / 4u + min(row / 4u + r, m4 - 1u);
  }
  // unroll
  for (var c = 0u; c < TILE_N4; c++) {
    b_at[c] = min(column / 4u + c, n4 - 1u);
  }
  for (var i = start; i < min(start + params.span, params.k); i++) {
    var right: array<vec4f, TILE_N4>;
    // unroll
    for (var c = 0u; c < TILE_N4; c++) {
      right[c] = b[b_at[c] + i * n4];
    }
    // unroll
    for (var r = 0u; r < TILE_M4; r++) {
      let left = a[a_at[r] + i * m_stride4];
      // unroll
      for (var c = 0u; c < TILE_N4; c++) {
        sum[r][c][0] = sum[r][c][0] + left.x * right[c];
        sum[r][c][1] = sum[r][c][1] + left.y * right[c];
        sum[r][c][2] = sum[r][c][2] + left.z * right[c];
        sum[r][c][3] = sum[r][c][3] + left.w * right[c];
      }
    }
  }
  // Not unrolled: the code of stores takes long to compile.
  for (var r = 0u; r < TILE_M4; r++) {
    for (var i = 0u; i < 4u; i++) {
      // unroll
      for (var c = 0u; c < TILE_N4; c++) {
        store(part * params.m, row + 4u * r + i, column + 4u * c, sum[r][c][i]);
      }
    }
  }
}
