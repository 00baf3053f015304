// uses: reduce
// out [n, d] = x / sqrt(mean(x²) + epsilon) · weight [d]. One row per ROWS slot of a workgroup.
struct Params { n: u32, d: u32, epsilon: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let row = (group.x + group.y * groups.x) * ROWS + local.y;
  // Rows past the end repeat the last one, so that every lane meets the barriers.
  let base = min(row, params.n - 1u) * params.d;
  var sum = 0.0;
  for (var i = local.x; i < params.d; i = i + LANES) {
    let value = x[base + i];
    sum = sum + value * value;
  }
  let inverse = 1.0 / sqrt(reduce_sum(local.x, sum) / f32(params.d) + params.epsilon);
  if (row >= params.n) {
    return;
  }
  for (var i = local.x; i < params.d; i = i + LANES) {
    out[base + i] = x[base + i] * inverse * weight[i];
  }
}
