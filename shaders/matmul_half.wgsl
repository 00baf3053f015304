enable f16;
// uses: store_tile, weights
// out [m, n] = scale · A [m, k] · B (+ out), B [k, n], or [n, k] where TRANSPOSED; k and n multiples of 4, weights that
// begin at vector `first4`. As matmul_shared, but operands are rounded to f16 and multiplied so, four k to a sum, and
// these sums are added up in f32.
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

var<workgroup> left: array<vec4<f16>, 256>; // 64 rows of 4 vectors along k
var<workgroup> right: array<f16, 1024>; // 16 k of 64 columns

fn right_row(k: u32, column: u32) -> vec4<f16> {
  let at = k * 64u + column;
  return vec4<f16>(right[at], right[at + 1u], right[at + 2u], right[at + 3u]);
}

@compute @workgroup_size(256)
fn main(
  @builtin(local_invocation_index) index: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let tiles = (params.n + 63u) / 64u;
  let tile = group.x + group.y * groups.x;
  let first_row = tile / tiles * 64u;
  let first_column = tile % tiles * 64u;
  let row = index / 16u * 4u;
  let column = index % 16u * 4u;
  let k4 = params.k / 4u;
  let n4 = params.n / 4u;
  var sum: array<vec4f, 4>;
  // unroll
  for (var r = 0u; r < 4u; r++) {
    sum[r] = carried(first_row + row + r, first_column + column);
  }
  for (var start = 0u; start < k4; start = start + 4u) {
    // What lies past an edge repeats the last of it and is not used.
    let quarter = index % 4u;
    let left_row = min(first_row + index / 4u, params.m - 1u);
    left[index] = vec4<f16>(a[(left_row * params.k_stride + params.first_k) / 4u + min(start + quarter, k4 - 1u)]);
    if (TRANSPOSED == 1u) {
      let place = min(first_column + index / 4u, params.n - 1u) * k4 + min(start + quarter, k4 - 1u);
      let values = vec4<f16>(weights4(params.first4 + place));
      let at = quarter * 256u + index / 4u;
      right[at] = values.x;
      right[at + 64u] = values.y;
      right[at + 128u] = values.z;
      right[at + 192u] = values.w;
    } else {
      let place = min(4u * start + index / 16u, params.k - 1u) * n4 + min(first_column / 4u + index % 16u, n4 - 1u);
      let values = vec4<f16>(weights4(params.first4 + place));
      let at = index * 4u;
      right[at] = values.x;
      right[at + 1u] = values.y;
      right[at + 2u] = values.z;
      right[at + 3u] = values.w;
    }
    workgroupBarrier();
    for (var i = 0u; i < min(4u, k4 - start); i = i + 1u) {
      let p0 = right_row(4u * i, column);
      let p1 = right_row(4u * i + 1u, column);
      let p2 = right_row(4u * i + 2u, column);
      let p3 = right_row(4u * i + 3u, column);
      // unroll
      for (var r = 0u; r < 4u; r++) {
        let values = left[(row + r) * 4u + i];
        sum[r] = sum[r] + vec4f(values.x * p0 + values.y * p1 + values.z * p2 + values.w * p3);
      }
    }
    workgroupBarrier();
  }
  // unroll
  for (var r = 0u; r < 4u; r++) {
    store(0u, first_row + row + r, first_column + column, sum[r]);
  }
}
