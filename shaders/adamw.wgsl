// AdamW (Loshchilov & Hutter 2019, decoupled decay as in torch) in place on param, m, v [n], with the gradient scaled by
// min(1, max_norm / (sqrt(grad_squares [1]) + 1e-6)); max_norm < 0 leaves it.
struct Params {
  n: u32,
  learning_rate: f32,
  beta1: f32,
  beta2: f32,
  epsilon: f32,
  weight_decay: f32,
  correction1: f32,
  correction2_root: f32,
  max_norm: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> param: array<f32>;
@group(0) @binding(2) var<storage, read_write> m: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read> grad: array<f32>;
@group(0) @binding(5) var<storage, read> grad_squares: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.n) {
    return;
  }
  var factor = 1.0;
  if (params.max_norm >= 0.0) {
    factor = min(1.0, params.max_norm / (sqrt(grad_squares[0]) + 1.0e-6));
  }
  let g = grad[i] * factor;
  let first = m[i] + (1.0 - params.beta1) * (g - m[i]);
  let second = params.beta2 * v[i] + (1.0 - params.beta2) * g * g;
  m[i] = first;
  v[i] = second;
  let step = params.learning_rate / params.correction1;
  let decayed = param[i] * (1.0 - params.learning_rate * params.weight_decay);
  param[i] = decayed - step * first / (sqrt(second) / params.correction2_root + params.epsilon);
}
