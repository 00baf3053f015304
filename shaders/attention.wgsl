// uses: math
// Causal attention with grouped queries. out, q [b, t, heads, D], k, v [b, t, kv_heads, D], lse [b, heads, t].
// Query i sees the keys i − window < j ≤ i. Each invocation takes QUERIES neighbouring queries of a head over their keys in order, with a running maximum.
const D4 = 2u; // D / 4, set by the host
const QUERIES = 4u; // of an invocation, set by the host
struct Params { b: u32, t: u32, heads: u32, kv_heads: u32, scale: f32, window: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;
@group(0) @binding(3) var<storage, read> q: array<vec4f>;
@group(0) @binding(4) var<storage, read> k: array<vec4f>;
@group(0) @binding(5) var<storage, read> v: array<vec4f>;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 32u;
  let tiles = (params.t + QUERIES - 1u) / QUERIES;
  if (i >= params.b * params.heads * tiles) {
    return;
  }
  let first = i % tiles * QUERIES;
  let head = (i / tiles) % params.heads;
  let batch = i / (tiles * params.heads);
  let query_stride = params.heads * D4;
  let query_base = batch * params.t * query_stride + head * D4;
  let key_stride = params.kv_heads * D4;
  let key_base = batch * params.t * key_stride + head / (params.heads / params.kv_heads) * D4;
  // Queries past the end repeat the last one and are not stored.
  let last = min(first + QUERIES, params.t) - 1u;

  var query: array<array<vec4f, D4>, QUERIES>;
  var sum: array<array<vec4f, D4>, QUERIES>;
  var maximum: array<f32, QUERIES>;
  var total: array<f32, QUERIES>;
  // unroll
  for (var r = 0u; r < QUERIES; r++) {
    let base = query_base + min(first + r, last) * query_stride;
    // unroll
    for (var c = 0u; c < D4; c++) {
      query[r][c] = q[base + c] * params.scale;
    }
    maximum[r] = -3.0e38;
  }
  for (var j = max(first + 1u, params.window) - params.window; j <= last; j++) {
    var key: array<vec4f, D4>;
    var value: array<vec4f, D4>;
    // unroll
    for (var c = 0u; c < D4; c++) {
      key[c] = k[key_base + j * key_stride + c];
      value[c] = v[key_base + j * key_stride + c];
    }
    // unroll
    for (var r = 0u; r < QUERIES; r++) {
      var dots = query[r][0u] * key[0u];
      // unroll
      for (var c = 1u; c < D4; c++) {
        dots = dots + query[r][c] * key[c];
      }
      let score = select(-3.0e38, (dots.x + dots.y) + (dots.z + dots.w), j <= first + r && first + r < j + params.window);
      // One of the two exponentials is 1: the running maximum or the score is the larger.
      let small = exp_f32(-abs(score - maximum[r]));
      let grows = score > maximum[r];
      let shrink = select(1.0, small, grows);
      let p = select(small, 1.0, grows);
      maximum[r] = max(maximum[r], score);
      total[r] = total[r] * shrink + p;
      // unroll
      for (var c = 0u; c < D4; c++) {
        sum[r][c] = sum[r][c] * shrink + p * value[c];
      }
    }
  }
  // unroll
  for (var r = 0u; r < QUERIES; r++) {
    if (first + r <= last) {
      // unroll
      for (var c = 0u; c < D4; c++) {
        out[query_base + (first + r) * query_stride + c] = sum[r][c] / total[r];
      }
      lse[(batch * params.heads + head) * params.t + first + r] = maximum[r] + log_f32(total[r]);
    }
  }
}
