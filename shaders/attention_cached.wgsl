// uses: math
// One query per row: q, out [b, heads, D] over the last `window` of the first lengths[b] positions of k_cache,
// v_cache [b, max, kv_heads, D].
// Each invocation takes QUERIES heads that share their keys over the keys in order, with a running maximum.
const D4 = 2u; // D / 4, set by the host
const QUERIES = 2u; // a divisor of heads / kv_heads, set by the host
struct Params { b: u32, max_length: u32, heads: u32, kv_heads: u32, scale: f32, window: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> q: array<vec4f>;
@group(0) @binding(3) var<storage, read> k_cache: array<vec4f>;
@group(0) @binding(4) var<storage, read> v_cache: array<vec4f>;
@group(0) @binding(5) var<storage, read> lengths: array<u32>;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 32u;
  let tiles = params.heads / QUERIES;
  if (i >= params.b * tiles) {
    return;
  }
  let head = i % tiles * QUERIES;
  let batch = i / tiles;
  let query_base = i * QUERIES * D4;
  let key_stride = params.kv_heads * D4;
  let key_base = batch * params.max_length * key_stride + head / (params.heads / params.kv_heads) * D4;
  let length = min(lengths[batch], params.max_length);

  var query: array<array<vec4f, D4>, QUERIES>;
  var sum: array<array<vec4f, D4>, QUERIES>;
  var maximum: array<f32, QUERIES>;
  var total: array<f32, QUERIES>;
  // unroll
  for (var r = 0u; r < QUERIES; r++) {
    // unroll
    for (var c = 0u; c < D4; c++) {
      query[r][c] = q[query_base + r * D4 + c] * params.scale;
    }
    maximum[r] = -3.0e38;
  }
  for (var j = max(length, params.window) - params.window; j < length; j++) {
    var key: array<vec4f, D4>;
    var value: array<vec4f, D4>;
    // unroll
    for (var c = 0u; c < D4; c++) {
      key[c] = k_cache[key_base + j * key_stride + c];
      value[c] = v_cache[key_base + j * key_stride + c];
    }
    // unroll
    for (var r = 0u; r < QUERIES; r++) {
      var dots = query[r][0u] * key[0u];
      // unroll
      for (var c = 1u; c < D4; c++) {
        dots = dots + query[r][c] * key[c];
      }
      let score = (dots.x + dots.y) + (dots.z + dots.w);
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
    // unroll
    for (var c = 0u; c < D4; c++) {
      out[query_base + r * D4 + c] = sum[r][c] / max(total[r], 1.0e-30);
    }
  }
}
