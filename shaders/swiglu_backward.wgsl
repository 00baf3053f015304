// uses: math
// Gradients of silu(gate) · up, all [n]: dup = dout · silu(gate), dgate = dout · up · σ (1 + gate (1 − σ)).
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> dgate: array<f32>;
@group(0) @binding(2) var<storage, read_write> dup: array<f32>;
@group(0) @binding(3) var<storage, read> dout: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<f32>;
@group(0) @binding(5) var<storage, read> up: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.n) {
    return;
  }
  let x = gate[i];
  let sigmoid = 1.0 / (1.0 + exp_f32(-x));
  dgate[i] = dout[i] * up[i] * sigmoid * (1.0 + x * (1.0 - sigmoid));
  dup[i] = dout[i] * x * sigmoid;
}
