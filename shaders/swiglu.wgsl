// uses: math, keep_tail
// out = silu(gate) · up, all [n], four elements per invocation.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> gate: array<vec4f>;
@group(0) @binding(3) var<storage, read> up: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (4u * i >= params.n) {
    return;
  }
  let x = gate[i];
  let value = x / (1.0 + exp_vec4(-x)) * up[i];
  out[i] = keep_tail(4u * i, value, out[i]);
}
