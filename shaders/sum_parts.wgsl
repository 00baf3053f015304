// out [n] = scale · Σ x [parts, n] over the parts in order (+ out).
struct Params { n: u32, parts: u32, scale: f32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.n) {
    return;
  }
  var sum = 0.0;
  for (var part = 0u; part < params.parts; part++) {
    sum = sum + x[part * params.n + i];
  }
  var value = params.scale * sum;
  if (params.accumulate != 0u) {
    value = value + out[i];
  }
  out[i] = value;
}
