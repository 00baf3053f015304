// uses: math
// One query per row: q, out [b, heads, D] over the first lengths[b] positions of k_cache, v_cache [b, max, kv_heads, D].
const D4 = 2u; // D / 4, set by the host
struct Params { b: u32, max_length: u32, heads: u32, kv_heads: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> q: array<vec4f>;
@group(0) @binding(3) var<storage, read> k_cache: array<vec4f>;
@group(0) @binding(4) var<storage, read> v_cache: array<vec4f>;
@group(0) @binding(5) var<storage, read> lengths: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.b * params.heads) {
    return;
  }
  let head = i % params.heads;
  let batch = i / params.heads;
  let key_stride = params.kv_heads * D4;
  let key_base = batch * params.max_length * key_stride + head / (params.heads / params.kv_heads) * D4;
  let length = min(lengths[batch], params.max_length);

  var query: array<vec4f, D4>;
  var sum: array<vec4f, D4>;
  for (var c = 0u; c < D4; c = c + 1u) {
    query[c] = q[i * D4 + c] * params.scale;
    sum[c] = vec4f();
  }
  var maximum = -3.0e38;
  var total = 0.0;
  for (var j = 0u; j < length; j = j + 4u) {
    var score = vec4f(-3.0e38);
    for (var lane = 0u; lane < min(4u, length - j); lane = lane + 1u) {
      var dots = vec4f();
      for (var c = 0u; c < D4; c = c + 1u) {
        dots = dots + query[c] * k_cache[key_base + (j + lane) * key_stride + c];
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
    for (var lane = 0u; lane < min(4u, length - j); lane = lane + 1u) {
      for (var c = 0u; c < D4; c = c + 1u) {
        sum[c] = sum[c] + p[lane] * v_cache[key_base + (j + lane) * key_stride + c];
      }
    }
  }
  for (var c = 0u; c < D4; c = c + 1u) {
    out[i * D4 + c] = sum[c] / max(total, 1.0e-30);
  }
}
