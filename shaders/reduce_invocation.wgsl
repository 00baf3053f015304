// Library: one row per invocation, for software drivers, where a barrier costs more than the arithmetic around it.
const LANES = 1u;
const ROWS = 16u;

fn reduce_sum(lane: u32, value: f32) -> f32 {
  return value;
}

fn reduce_max(lane: u32, value: f32) -> f32 {
  return value;
}

fn reduce_sum_vec4(lane: u32, value: vec4f) -> vec4f {
  return value;
}

fn reduce_min_u32(lane: u32, value: u32) -> u32 {
  return value;
}

fn reduce_prefix(lane: u32, value: f32) -> f32 {
  return 0.0;
}
