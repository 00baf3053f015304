// cache [b, max_length, width] at positions start[b] + 0 … t − 1 = x [b, t, width], width = kv_heads · head_dim.
// Positions past the end are dropped.
struct Params { b: u32, t: u32, width: u32, max_length: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> cache: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> start: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  let per_row = params.t * params.width;
  if (i >= params.b * per_row) {
    return;
  }
  let batch = i / per_row;
  let position = start[batch] + (i % per_row) / params.width;
  if (position < params.max_length) {
    cache[(batch * params.max_length + position) * params.width + i % params.width] = x[i];
  }
}
