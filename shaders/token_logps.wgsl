// uses: math, reduce
// lse [n] = log Σ exp(logits [n, vocab]), logps [n] = logits[targets [n]] − lse. One row per ROWS slot of a workgroup.
struct Params { n: u32, vocab: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logps: array<f32>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;
@group(0) @binding(3) var<storage, read> logits: array<f32>;
@group(0) @binding(4) var<storage, read> targets: array<u32>;

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let row = (group.x + group.y * groups.x) * ROWS + local.y;
  // Rows past the end repeat the last one, so that every lane meets the barriers.
  let base = min(row, params.n - 1u) * params.vocab;
  var maximum = -3.0e38;
  for (var i = local.x; i < params.vocab; i = i + LANES) {
    maximum = max(maximum, logits[base + i]);
  }
  maximum = reduce_max(local.x, maximum);
  var sum = 0.0;
  for (var i = local.x; i < params.vocab; i = i + LANES) {
    sum = sum + exp_f32(logits[base + i] - maximum);
  }
  let row_lse = maximum + log_f32(reduce_sum(local.x, sum));
  if (row < params.n && local.x == 0u) {
    lse[row] = row_lse;
    logps[row] = logits[base + min(targets[row], params.vocab - 1u)] - row_lse;
  }
}
