// out [m, n] = scale · A [m, k] · B [k, n] (+ out), A and B given by the strides of their two indices, which covers
// every transposed form, and by the first element of A and of out. Sums that are carried begin at what out holds. Each invocation keeps a 4 × 4 tile in registers and runs over k in order.
struct Params {
  m: u32,
  n: u32,
  k: u32,
  a_row: u32,
  a_k: u32,
  b_k: u32,
  b_column: u32,
  first_a: u32,
  first_out: u32,
  stride: u32,
  carry: u32,
  scale: f32,
  accumulate: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;

@compute @workgroup_size(8, 8)
fn main(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let tiles = (params.n + 31u) / 32u;
  let tile = group.x + group.y * groups.x;
  let row = (tile / tiles) * 32u + local.y * 4u;
  let column = (tile % tiles) * 32u + local.x * 4u;
  if (row >= params.m || column >= params.n) {
    return;
  }
  // Rows and columns past the edge repeat the last one and are not stored.
  let rows = min(vec4u(row, row + 1u, row + 2u, row + 3u), vec4u(params.m - 1u));
  let columns = min(vec4u(column, column + 1u, column + 2u, column + 3u), vec4u(params.n - 1u));
  var ia = rows * params.a_row + params.first_a;
  var ib = columns * params.b_column;
  var sum0 = carried(row, column);
  var sum1 = carried(row + 1u, column);
  var sum2 = carried(row + 2u, column);
  var sum3 = carried(row + 3u, column);
  for (var i = 0u; i < params.k; i = i + 1u) {
    let b_values = vec4f(b[ib.x], b[ib.y], b[ib.z], b[ib.w]);
    sum0 = sum0 + a[ia.x] * b_values;
    sum1 = sum1 + a[ia.y] * b_values;
    sum2 = sum2 + a[ia.z] * b_values;
    sum3 = sum3 + a[ia.w] * b_values;
    ia = ia + params.a_k;
    ib = ib + params.b_k;
  }
  store(row, column, sum0);
  store(row + 1u, column, sum1);
  store(row + 2u, column, sum2);
  store(row + 3u, column, sum3);
}

fn carried(row: u32, column: u32) -> vec4f {
  var sums = vec4f();
  if (params.carry != 0u && row < params.m) {
    for (var i = 0u; i < min(4u, params.n - column); i = i + 1u) {
      sums[i] = out[params.first_out + row * params.stride + column + i];
    }
  }
  return sums;
}

fn store(row: u32, column: u32, sums: vec4f) {
  if (row >= params.m) {
    return;
  }
  for (var i = 0u; i < min(4u, params.n - column); i = i + 1u) {
    let index = params.first_out + row * params.stride + column + i;
    var value = params.scale * sums[i];
    if (params.accumulate != 0u) {
      value = value + out[index];
    }
    out[index] = value;
  }
}
