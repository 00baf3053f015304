// uses: math, keep_tail
// Gradients of silu(gate) · up, all [n]: dup = dout · silu(gate), dgate = dout · up · σ (1 + gate (1 − σ)). Four elements
// per invocation.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> dgate: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dup: array<vec4f>;
@group(0) @binding(3) var<storage, read> dout: array<vec4f>;
@group(0) @binding(4) var<storage, read> gate: array<vec4f>;
@group(0) @binding(5) var<storage, read> up: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (4u * i >= params.n) {
    return;
  }
  let x = gate[i];
  let gradient = dout[i];
  let sigmoid = 1.0 / (1.0 + exp_vec4(-x));
  let gate_gradient = gradient * up[i] * sigmoid * (1.0 + x * (1.0 - sigmoid));
  dgate[i] = keep_tail(4u * i, gate_gradient, dgate[i]);
  dup[i] = keep_tail(4u * i, gradient * x * sigmoid, dup[i]);
}
