// out [d] += Σ_n a [n, d] · b [n, d], rows in order.
struct Params { n: u32, d: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.d) {
    return;
  }
  var sum = 0.0;
  for (var row = 0u; row < params.n; row++) {
    sum = sum + a[row * params.d + i] * b[row * params.d + i];
  }
  out[i] = out[i] + sum;
}
