// uses: math
// dk, dv [b, t, kv_heads, D] from dout, q [b, t, heads, D], k, v, lse and delta [b, heads, t]: over the heads of the
// group and the queries that see the key, dv = Σ p · dout, dk = scale · Σ p (dout·v − delta) q. Each invocation takes
// KEYS neighbouring keys of a head.
const D4 = 2u; // D / 4, set by the host
const KEYS = 4u; // of an invocation, set by the host
struct Params { b: u32, t: u32, heads: u32, kv_heads: u32, scale: f32, window: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> dk: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dv: array<vec4f>;
@group(0) @binding(3) var<storage, read> dout: array<vec4f>;
@group(0) @binding(4) var<storage, read> q: array<vec4f>;
@group(0) @binding(5) var<storage, read> k: array<vec4f>;
@group(0) @binding(6) var<storage, read> v: array<vec4f>;
@group(0) @binding(7) var<storage, read> lse: array<f32>;
@group(0) @binding(8) var<storage, read> delta: array<f32>;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 32u;
  let tiles = (params.t + KEYS - 1u) / KEYS;
  if (i >= params.b * params.kv_heads * tiles) {
    return;
  }
  let first = i % tiles * KEYS;
  let kv_head = (i / tiles) % params.kv_heads;
  let batch = i / (tiles * params.kv_heads);
  let key_stride = params.kv_heads * D4;
  let key_base = batch * params.t * key_stride + kv_head * D4;
  let query_stride = params.heads * D4;
  let shared_by = params.heads / params.kv_heads;

  var key: array<array<vec4f, D4>, KEYS>;
  var value: array<array<vec4f, D4>, KEYS>;
  var key_sum: array<array<vec4f, D4>, KEYS>;
  var value_sum: array<array<vec4f, D4>, KEYS>;
  // Keys past the end repeat the last one and are not stored.
  // unroll
  for (var r = 0u; r < KEYS; r++) {
    let base = key_base + min(first + r, params.t - 1u) * key_stride;
    // unroll
    for (var c = 0u; c < D4; c++) {
      key[r][c] = k[base + c] * params.scale;
      value[r][c] = v[base + c];
    }
  }
  for (var head = kv_head * shared_by; head < (kv_head + 1u) * shared_by; head++) {
    let row_base = (batch * params.heads + head) * params.t;
    for (var j = first; j < min(params.t, first + KEYS - 1u + params.window); j++) {
      let query_base = (batch * params.t + j) * query_stride + head * D4;
      var query: array<vec4f, D4>;
      var gradient: array<vec4f, D4>;
      // unroll
      for (var c = 0u; c < D4; c++) {
        query[c] = q[query_base + c];
        gradient[c] = dout[query_base + c];
      }
      let row_lse = lse[row_base + j];
      let row_delta = delta[row_base + j];
      // unroll
      for (var r = 0u; r < KEYS; r++) {
        var scores = key[r][0u] * query[0u];
        var changes = value[r][0u] * gradient[0u];
        // unroll
        for (var c = 1u; c < D4; c++) {
          scores = scores + key[r][c] * query[c];
          changes = changes + value[r][c] * gradient[c];
        }
        let seen = first + r <= j && j < first + r + params.window;
        let score = select(-3.0e38, (scores.x + scores.y) + (scores.z + scores.w) - row_lse, seen);
        let change = (changes.x + changes.y) + (changes.z + changes.w) - row_delta;
        let p = exp_f32(score);
        let ds = p * change * params.scale;
        // unroll
        for (var c = 0u; c < D4; c++) {
          value_sum[r][c] = value_sum[r][c] + p * gradient[c];
          key_sum[r][c] = key_sum[r][c] + ds * query[c];
        }
      }
    }
  }
  // unroll
  for (var r = 0u; r < KEYS; r++) {
    if (first + r < params.t) {
      // unroll
      for (var c = 0u; c < D4; c++) {
        dk[key_base + (first + r) * key_stride + c] = key_sum[r][c];
        dv[key_base + (first + r) * key_stride + c] = value_sum[r][c];
      }
    }
  }
}
