// uses: math, reduce
// logits [n, width]: columns start … start + width − 1 of [n, vocab]. lse [n] = log Σ exp of the columns so far; logps [n] =
// the target's logit, less lse once the last columns have come. One row per ROWS slot of a workgroup.
struct Params { n: u32, width: u32, start: u32, vocab: u32 }
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
  let base = min(row, params.n - 1u) * params.width;
  var maximum = -3.0e38;
  for (var i = local.x; i < params.width; i = i + LANES) {
    maximum = max(maximum, logits[base + i]);
  }
  maximum = reduce_max(local.x, maximum);
  var sum = 0.0;
  for (var i = local.x; i < params.width; i = i + LANES) {
    sum = sum + exp_f32(logits[base + i] - maximum);
  }
  var row_lse = maximum + log_f32(reduce_sum(local.x, sum));
  if (row < params.n && local.x == 0u) {
    if (params.start > 0u) {
      let before = lse[row];
      let most = max(before, row_lse);
      row_lse = most + log1p_f32(exp_f32(min(before, row_lse) - most));
    }
    lse[row] = row_lse;
    // Columns before `start` wrap to numbers that are too large.
    let column = min(targets[row], params.vocab - 1u) - params.start;
    var value = logps[row];
    if (column < params.width) {
      value = logits[base + column];
    }
    if (params.start + params.width == params.vocab) {
      value = value - row_lse;
    }
    logps[row] = value;
  }
}
