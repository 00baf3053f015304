// out [b] = Σ_t x [b, t] · mask [b, t], t in order.
struct Params { b: u32, t: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * 64u;
  if (row >= params.b) {
    return;
  }
  var sum = 0.0;
  for (var i = row * params.t; i < (row + 1u) * params.t; i = i + 1u) {
    sum = sum + x[i] * mask[i];
  }
  out[row] = sum;
}
