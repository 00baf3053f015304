// uses: math
// dq [b, t, heads, D] and delta [b, heads, t] = Σ dout · out, which attention_backward_kv needs. With p = exp(scale ·
// q·k − lse): dq = scale · Σ_j p_j (dout·v_j − delta) k_j. One query per invocation.
const D4 = 2u; // D / 4, set by the host
struct Params { b: u32, t: u32, heads: u32, kv_heads: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> dq: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> delta: array<f32>;
@group(0) @binding(3) var<storage, read> dout: array<vec4f>;
@group(0) @binding(4) var<storage, read> q: array<vec4f>;
@group(0) @binding(5) var<storage, read> k: array<vec4f>;
@group(0) @binding(6) var<storage, read> v: array<vec4f>;
@group(0) @binding(7) var<storage, read> out: array<vec4f>;
@group(0) @binding(8) var<storage, read> lse: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.b * params.heads * params.t) {
    return;
  }
  let position = i % params.t;
  let head = (i / params.t) % params.heads;
  let batch = i / (params.t * params.heads);
  let query_base = ((batch * params.t + position) * params.heads + head) * D4;
  let key_stride = params.kv_heads * D4;
  let key_base = batch * params.t * key_stride + head / (params.heads / params.kv_heads) * D4;

  var query: array<vec4f, D4>;
  var gradient: array<vec4f, D4>;
  var sum: array<vec4f, D4>;
  var dots = vec4f();
  for (var c = 0u; c < D4; c = c + 1u) {
    query[c] = q[query_base + c] * params.scale;
    gradient[c] = dout[query_base + c];
    sum[c] = vec4f();
    dots = dots + gradient[c] * out[query_base + c];
  }
  let row_delta = (dots.x + dots.y) + (dots.z + dots.w);
  let row_lse = lse[i];
  for (var j = 0u; j <= position; j = j + 1u) {
    var scores = vec4f();
    var changes = vec4f();
    for (var c = 0u; c < D4; c = c + 1u) {
      scores = scores + query[c] * k[key_base + j * key_stride + c];
      changes = changes + gradient[c] * v[key_base + j * key_stride + c];
    }
    let p = exp_f32((scores.x + scores.y) + (scores.z + scores.w) - row_lse);
    let ds = p * ((changes.x + changes.y) + (changes.z + changes.w) - row_delta) * params.scale;
    for (var c = 0u; c < D4; c = c + 1u) {
      sum[c] = sum[c] + ds * k[key_base + j * key_stride + c];
    }
  }
  for (var c = 0u; c < D4; c = c + 1u) {
    dq[query_base + c] = sum[c];
  }
  delta[i] = row_delta;
}
