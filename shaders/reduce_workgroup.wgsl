// Library: one row per workgroup, for GPUs.
const LANES = 64u; // set by the host
const ROWS = 1u;

var<workgroup> lanes_f32: array<f32, LANES>;
var<workgroup> lanes_vec4: array<vec4f, LANES>;
var<workgroup> lanes_u32: array<u32, LANES>;

/// Sum of `value` over the lanes of the row, in a fixed tree.
fn reduce_sum(lane: u32, value: f32) -> f32 {
  lanes_f32[lane] = value;
  for (var half = LANES / 2u; half > 0u; half = half / 2u) {
    workgroupBarrier();
    if (lane < half) {
      lanes_f32[lane] = lanes_f32[lane] + lanes_f32[lane + half];
    }
  }
  workgroupBarrier();
  let total = lanes_f32[0];
  workgroupBarrier();
  return total;
}

fn reduce_max(lane: u32, value: f32) -> f32 {
  lanes_f32[lane] = value;
  for (var half = LANES / 2u; half > 0u; half = half / 2u) {
    workgroupBarrier();
    if (lane < half) {
      lanes_f32[lane] = max(lanes_f32[lane], lanes_f32[lane + half]);
    }
  }
  workgroupBarrier();
  let total = lanes_f32[0];
  workgroupBarrier();
  return total;
}

fn reduce_sum_vec4(lane: u32, value: vec4f) -> vec4f {
  lanes_vec4[lane] = value;
  for (var half = LANES / 2u; half > 0u; half = half / 2u) {
    workgroupBarrier();
    if (lane < half) {
      lanes_vec4[lane] = lanes_vec4[lane] + lanes_vec4[lane + half];
    }
  }
  workgroupBarrier();
  let total = lanes_vec4[0];
  workgroupBarrier();
  return total;
}

fn reduce_min_u32(lane: u32, value: u32) -> u32 {
  lanes_u32[lane] = value;
  for (var half = LANES / 2u; half > 0u; half = half / 2u) {
    workgroupBarrier();
    if (lane < half) {
      lanes_u32[lane] = min(lanes_u32[lane], lanes_u32[lane + half]);
    }
  }
  workgroupBarrier();
  let total = lanes_u32[0];
  workgroupBarrier();
  return total;
}

/// Sum of `value` over the lanes before this one.
fn reduce_prefix(lane: u32, value: f32) -> f32 {
  lanes_f32[lane] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < lane; i = i + 1u) {
    sum = sum + lanes_f32[i];
  }
  workgroupBarrier();
  return sum;
}
