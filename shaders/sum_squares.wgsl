// uses: reduce
// out [ceil(n / span)] = Σ x² (or Σ x) over each span of x [n]; the host repeats it until one number is left.
struct Params { n: u32, span: u32, squared: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let row = (group.x + group.y * groups.x) * ROWS + local.y;
  let end = min((row + 1u) * params.span, params.n);
  var sum = 0.0;
  for (var i = row * params.span + local.x; i < end; i = i + LANES) {
    let value = x[i];
    sum = sum + select(value, value * value, params.squared != 0u);
  }
  let total = reduce_sum(local.x, sum);
  if (local.x == 0u && row * params.span < params.n) {
    out[row] = total;
  }
}
