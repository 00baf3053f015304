// uses: math
// Causal attention with grouped queries. out, q [b, t, heads, D], k, v [b, t, kv_heads, D], lse [b, heads, t].
// One query per invocation, keys in order, four at a time with a running maximum.
const D4 = 2u; // D / 4, set by the host
struct Params { b: u32, t: u32, heads: u32, kv_heads: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;
@group(0) @binding(3) var<storage, read> q: array<vec4f>;
@group(0) @binding(4) var<storage, read> k: array<vec4f>;
@group(0) @binding(5) var<storage, read> v: array<vec4f>;

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
  var sum: array<vec4f, D4>;
  for (var c = 0u; c < D4; c = c + 1u) {
    query[c] = q[query_base + c] * params.scale;
    sum[c] = vec4f();
  }
  var maximum = -3.0e38;
  var total = 0.0;
  for (var j = 0u; j <= position; j = j + 4u) {
    var score = vec4f(-3.0e38);
    for (var lane = 0u; lane < min(4u, position + 1u - j); lane = lane + 1u) {
      var dots = vec4f();
      for (var c = 0u; c < D4; c = c + 1u) {
        dots = dots + query[c] * k[key_base + (j + lane) * key_stride + c];
      }
      score[lane] = (dots.x + dots.y) + (dots.z + dots.w);
    }
    let next = max(maximum, max(max(score.x, score.y), max(score.z, score.w)));
    let shrink = exp_f32(maximum - next);
    let p = exp_vec4(score - next);
    maximum = next;
    total = total * shrink + ((p.x + p.y) + (p.z + p.w));
    for (var c = 0u; c < D4; c = c + 1u) {
      sum[c] = sum[c] * shrink;
    }
    for (var lane = 0u; lane < min(4u, position + 1u - j); lane = lane + 1u) {
      for (var c = 0u; c < D4; c = c + 1u) {
        sum[c] = sum[c] + p[lane] * v[key_base + (j + lane) * key_stride + c];
      }
    }
  }
  for (var c = 0u; c < D4; c = c + 1u) {
    out[query_base + c] = sum[c] / total;
  }
  lse[i] = maximum + log_f32(total);
}
