enable subgroups;
// uses: store_tile, weights
// out [m, n] = scale · A [m, k] · B (+ out), B [k, n], or [n, k] where TRANSPOSED; k and n multiples of 4, weights that
// begin at vector `first4`. A workgroup takes 8 rows and 256 columns, an invocation 4 columns of them. Its subgroup, of
// at least 4, loads A once for all and hands it around; k is added up in the order, and in the sums, of matmul_nn and
// matmul_nt, so that the bits are theirs.
const TRANSPOSED = 0u; // 1 where B is [n, k], set by the host
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

@compute @workgroup_size(64)
fn main(
  @builtin(local_invocation_index) index: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) size: u32,
) {
  let tiles = (params.n + 255u) / 256u;
  let tile = group.x + group.y * groups.x;
  let row = tile / tiles * 8u;
  let column = tile % tiles * 256u + index * 4u;
  let k4 = params.k / 4u;
  let n4 = params.n / 4u;
  // Vectors along k that a subgroup holds of each row; a workgroup may be smaller than its subgroup.
  let span = min(size, 64u) / 4u;
  // What lies past an edge repeats the last of it and is not stored.
  let upper = (min(row + lane % 4u, params.m - 1u) * params.k_stride + params.first_k) / 4u;
  let lower = (min(row + 4u + lane % 4u, params.m - 1u) * params.k_stride + params.first_k) / 4u;
  var columns: array<u32, 4>;
  var sum: array<vec4f, 8>;
  // unroll
  for (var c = 0u; c < 4u; c++) {
    columns[c] = min(column + c, params.n - 1u) * k4 + params.first4;
  }
  // unroll
  for (var r = 0u; r < 8u; r++) {
    sum[r] = carried(row + r, column);
  }
  for (var start = 0u; start < k4; start = start + span) {
    let mine = min(start + lane / 4u, k4 - 1u);
    let high = a[upper + mine];
    let low = a[lower + mine];
    for (var j = 0u; j < min(span, k4 - start); j = j + 1u) {
      let i = start + j;
      var panel: mat4x4f;
      if (TRANSPOSED == 1u) {
        panel = transpose(mat4x4f(
          weights4(columns[0] + i),
          weights4(columns[1] + i),
          weights4(columns[2] + i),
          weights4(columns[3] + i),
        ));
      } else {
        let at = params.first4 + 4u * i * n4 + min(column / 4u, n4 - 1u);
        panel = mat4x4f(weights4(at), weights4(at + n4), weights4(at + 2u * n4), weights4(at + 3u * n4));
      }
      // unroll
      for (var r = 0u; r < 4u; r++) {
        let values = subgroupShuffle(high, 4u * j + r);
        let first = sum[r] + values.x * panel[0] + values.y * panel[1];
        sum[r] = first + values.z * panel[2] + values.w * panel[3];
      }
      // unroll
      for (var r = 0u; r < 4u; r++) {
        let values = subgroupShuffle(low, 4u * j + r);
        let first = sum[r + 4u] + values.x * panel[0] + values.y * panel[1];
        sum[r + 4u] = first + values.z * panel[2] + values.w * panel[3];
      }
    }
  }
  // unroll
  for (var r = 0u; r < 8u; r++) {
    store(0u, row + r, column, sum[r]);
  }
}
