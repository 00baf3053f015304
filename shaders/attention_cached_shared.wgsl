// uses: math
// attention_cached for GPUs: a workgroup takes one query over its keys, LANES of them at a time. Each invocation scores a key;
// then each adds up four dimensions of the values of every SLICES-th key.
const D4 = 2u; // D / 4, at most LANES, set by the host
struct Params { b: u32, max_length: u32, heads: u32, kv_heads: u32, scale: f32, window: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> q: array<vec4f>;
@group(0) @binding(3) var<storage, read> k_cache: array<vec4f>;
@group(0) @binding(4) var<storage, read> v_cache: array<vec4f>;
@group(0) @binding(5) var<storage, read> lengths: array<u32>;

const LANES = 128u;
const SLICES = LANES / D4;
var<workgroup> query: array<vec4f, D4>;
var<workgroup> scores: array<f32, LANES>;
var<workgroup> sums: array<vec4f, LANES>;
var<workgroup> totals: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let i = group.x + group.y * groups.x;
  if (i >= params.b * params.heads) {
    return;
  }
  let batch = i / params.heads;
  let key_head = i % params.heads / (params.heads / params.kv_heads);
  let key_stride = params.kv_heads * D4;
  let key_base = batch * params.max_length * key_stride + key_head * D4;
  let length = min(lengths[batch], params.max_length);
  let slice = lane / D4;
  let part = lane % D4;
  if (lane < D4) {
    query[lane] = q[i * D4 + lane] * params.scale;
  }
  workgroupBarrier();

  var maximum = -3.0e38;
  var total = 0.0;
  var sum = vec4f();
  for (var start = max(length, params.window) - params.window; start < length; start = start + LANES) {
    let count = min(LANES, length - start);
    var score = -3.0e38;
    if (lane < count) {
      let at = key_base + (start + lane) * key_stride;
      var dots = vec4f();
      // unroll
      for (var c = 0u; c < D4; c++) {
        dots = dots + query[c] * k_cache[at + c];
      }
      score = (dots.x + dots.y) + (dots.z + dots.w);
    }
    scores[lane] = score;
    workgroupBarrier();
    var most = maximum;
    for (var j = 0u; j < count; j++) {
      most = max(most, scores[j]);
    }
    workgroupBarrier();
    scores[lane] = exp_f32(score - most);
    workgroupBarrier();
    let shrink = exp_f32(maximum - most);
    maximum = most;
    total = total * shrink;
    sum = sum * shrink;
    // Invocations that are left over when D4 does not divide LANES add up nothing.
    for (var j = select(count, slice, slice < SLICES); j < count; j = j + SLICES) {
      let p = scores[j];
      total = total + p;
      sum = sum + p * v_cache[key_base + (start + j) * key_stride + part];
    }
    workgroupBarrier();
  }
  sums[lane] = sum;
  totals[lane] = total;
  workgroupBarrier();
  if (lane < D4) {
    for (var s = 1u; s < SLICES; s++) {
      sum = sum + sums[s * D4 + lane];
      total = total + totals[s * D4 + lane];
    }
    out[i * D4 + lane] = sum / max(total, 1.0e-30);
  }
}
