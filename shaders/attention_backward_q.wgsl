// uses: math
// dq [b, t, heads, D] and delta [b, heads, t] = Σ dout · out, which attention_backward_kv needs. With p = exp(scale ·
// q·k − lse): dq = scale · Σ_j p_j (dout·v_j − delta) k_j. Each invocation takes QUERIES neighbouring queries of a head.
const D4 = 2u; // D / 4, set by the host
const QUERIES = 4u; // of an invocation, set by the host
struct Params { b: u32, t: u32, heads: u32, kv_heads: u32, scale: f32, window: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> dq: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> delta: array<f32>;
@group(0) @binding(3) var<storage, read> dout: array<vec4f>;
@group(0) @binding(4) var<storage, read> q: array<vec4f>;
@group(0) @binding(5) var<storage, read> k: array<vec4f>;
@group(0) @binding(6) var<storage, read> v: array<vec4f>;
@group(0) @binding(7) var<storage, read> out: array<vec4f>;
@group(0) @binding(8) var<storage, read> lse: array<f32>;

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
  let row_base = (batch * params.heads + head) * params.t;
  let key_stride = params.kv_heads * D4;
  let key_base = batch * params.t * key_stride + head / (params.heads / params.kv_heads) * D4;
  // Queries past the end repeat the last one and are not stored.
  let last = min(first + QUERIES, params.t) - 1u;

  var query: array<array<vec4f, D4>, QUERIES>;
  var gradient: array<array<vec4f, D4>, QUERIES>;
  var sum: array<array<vec4f, D4>, QUERIES>;
  var row_delta: array<f32, QUERIES>;
  var row_lse: array<f32, QUERIES>;
  // unroll
  for (var r = 0u; r < QUERIES; r++) {
    let base = query_base + min(first + r, last) * query_stride;
    var dots = vec4f();
    // unroll
    for (var c = 0u; c < D4; c++) {
      query[r][c] = q[base + c] * params.scale;
      gradient[r][c] = dout[base + c];
      dots = dots + gradient[r][c] * out[base + c];
    }
    row_delta[r] = (dots.x + dots.y) + (dots.z + dots.w);
    row_lse[r] = lse[row_base + min(first + r, last)];
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
      var scores = query[r][0u] * key[0u];
      var changes = gradient[r][0u] * value[0u];
      // unroll
      for (var c = 1u; c < D4; c++) {
        scores = scores + query[r][c] * key[c];
        changes = changes + gradient[r][c] * value[c];
      }
      let seen = j <= first + r && first + r < j + params.window;
      let score = select(-3.0e38, (scores.x + scores.y) + (scores.z + scores.w) - row_lse[r], seen);
      let change = (changes.x + changes.y) + (changes.z + changes.w) - row_delta[r];
      let ds = exp_f32(score) * change * params.scale;
      // unroll
      for (var c = 0u; c < D4; c++) {
        sum[r][c] = sum[r][c] + ds * key[c];
      }
    }
  }
  // unroll
  for (var r = 0u; r < QUERIES; r++) {
    if (first + r <= last) {
      // unroll
      for (var c = 0u; c < D4; c++) {
        dq[query_base + (first + r) * query_stride + c] = sum[r][c];
      }
      delta[row_base + first + r] = row_delta[r];
    }
  }
}
