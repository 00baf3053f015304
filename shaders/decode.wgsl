// uses: weights
// out [n4 vectors] = weights in a format as f32, from vector `first4` on.
struct Params { n4: u32, first4: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i < params.n4) {
    out[i] = weights4(params.first4 + i);
  }
}
