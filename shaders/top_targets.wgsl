// uses: reduce
// logits [n, width]: columns start … start + width − 1 of [n, vocab]. most [n] = the largest logit of the columns so far;
// hits [n] = the target's logit, LEAST once one before it is as large, and after the last columns 1 where none is larger,
// else 0. One row per ROWS slot of a workgroup.
struct Params { n: u32, width: u32, start: u32, vocab: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> hits: array<f32>;
@group(0) @binding(2) var<storage, read_write> most: array<f32>;
@group(0) @binding(3) var<storage, read> logits: array<f32>;
@group(0) @binding(4) var<storage, read> targets: array<u32>;
const LEAST = -3.0e38;

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let row = (group.x + group.y * groups.x) * ROWS + local.y;
  // Rows past the end repeat the last one, so that every lane meets the barriers.
  let place = min(row, params.n - 1u);
  let base = place * params.width;
  // Columns before `start` wrap to numbers that are too large.
  let column = min(targets[place], params.vocab - 1u) - params.start;
  var maximum = LEAST;
  var before = LEAST;
  for (var i = local.x; i < params.width; i = i + LANES) {
    let value = logits[base + i];
    maximum = max(maximum, value);
    if (i < column) {
      before = max(before, value);
    }
  }
  maximum = reduce_max(local.x, maximum);
  before = reduce_max(local.x, before);
  if (row < params.n && local.x == 0u) {
    if (params.start > 0u) {
      before = max(before, most[row]);
      maximum = max(maximum, most[row]);
    }
    most[row] = maximum;
    var value = hits[row];
    if (column < params.width) {
      value = logits[base + column];
      if (before >= value) {
        value = LEAST;
      }
    }
    if (params.start + params.width == params.vocab) {
      value = select(0.0, 1.0, value > LEAST && value >= maximum);
    }
    hits[row] = value;
  }
}
