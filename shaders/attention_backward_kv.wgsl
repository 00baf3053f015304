// uses: math
// dk, dv [b, t, kv_heads, D] from dout, q [b, t, heads, D], k, v, lse and delta [b, heads, t]: over the heads of the
// group and the queries at or after the key, dv = Σ p · dout, dk = scale · Σ p (dout·v − delta) q. One key per invocation.
const D4 = 2u; // D / 4, set by the host
struct Params { b: u32, t: u32, heads: u32, kv_heads: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> dk: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dv: array<vec4f>;
@group(0) @binding(3) var<storage, read> dout: array<vec4f>;
@group(0) @binding(4) var<storage, read> q: array<vec4f>;
@group(0) @binding(5) var<storage, read> k: array<vec4f>;
@group(0) @binding(6) var<storage, read> v: array<vec4f>;
@group(0) @binding(7) var<storage, read> lse: array<f32>;
@group(0) @binding(8) var<storage, read> delta: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.b * params.kv_heads * params.t) {
    return;
  }
  let position = i % params.t;
  let kv_head = (i / params.t) % params.kv_heads;
  let batch = i / (params.t * params.kv_heads);
  let key_base = ((batch * params.t + position) * params.kv_heads + kv_head) * D4;
  let query_stride = params.heads * D4;
  let shared_by = params.heads / params.kv_heads;

  var key: array<vec4f, D4>;
  var value: array<vec4f, D4>;
  var key_sum: array<vec4f, D4>;
  var value_sum: array<vec4f, D4>;
  for (var c = 0u; c < D4; c = c + 1u) {
    key[c] = k[key_base + c] * params.scale;
    value[c] = v[key_base + c];
    key_sum[c] = vec4f();
    value_sum[c] = vec4f();
  }
  for (var head = kv_head * shared_by; head < (kv_head + 1u) * shared_by; head = head + 1u) {
    let row_base = (batch * params.heads + head) * params.t;
    for (var j = position; j < params.t; j = j + 1u) {
      let query_base = (batch * params.t + j) * query_stride + head * D4;
      var scores = vec4f();
      var changes = vec4f();
      for (var c = 0u; c < D4; c = c + 1u) {
        scores = scores + key[c] * q[query_base + c];
        changes = changes + value[c] * dout[query_base + c];
      }
      let p = exp_f32((scores.x + scores.y) + (scores.z + scores.w) - lse[row_base + j]);
      let ds = p * ((changes.x + changes.y) + (changes.z + changes.w) - delta[row_base + j]) * params.scale;
      for (var c = 0u; c < D4; c = c + 1u) {
        value_sum[c] = value_sum[c] + p * dout[query_base + c];
        key_sum[c] = key_sum[c] + ds * q[query_base + c];
      }
    }
  }
  for (var c = 0u; c < D4; c = c + 1u) {
    dk[key_base + c] = key_sum[c];
    dv[key_base + c] = value_sum[c];
  }
}
