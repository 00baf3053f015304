// uses: reduce
// dinp [n, d] += the gradient through rmsnorm of dout [n, d]:
// inverse · (weight · dout − x · inverse² · mean(weight · dout · x)), inverse = 1 / sqrt(mean(x²) + epsilon).
struct Params { n: u32, d: u32, epsilon: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> dinp: array<f32>;
@group(0) @binding(2) var<storage, read> dout: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let row = (group.x + group.y * groups.x) * ROWS + local.y;
  // Rows past the end repeat the last one, so that every lane meets the barriers.
  let base = min(row, params.n - 1u) * params.d;
  var squares = 0.0;
  var products = 0.0;
  for (var i = local.x; i < params.d; i = i + LANES) {
    let value = x[base + i];
    squares = squares + value * value;
    products = products + weight[i] * dout[base + i] * value;
  }
  let d = f32(params.d);
  let inverse = 1.0 / sqrt(reduce_sum(local.x, squares) / d + params.epsilon);
  let shared_term = reduce_sum(local.x, products) / d * inverse * inverse;
  if (row >= params.n) {
    return;
  }
  for (var i = local.x; i < params.d; i = i + LANES) {
    dinp[base + i] = dinp[base + i] + inverse * (weight[i] * dout[base + i] - x[base + i] * shared_term);
  }
}
