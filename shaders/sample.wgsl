// uses: math, reduce
// next [b]: one token per row of logits [b, vocab], drawn from softmax(logits / temperature) among the top_k most likely
// (with all that tie with the k-th), then among the fewest of those whose probability reaches top_p (with ties). The
// draw walks the kept tokens in order of id until their sum passes u times the total, u = first Philox word of counter
// (streams[row, 0], streams[row, 1], lengths[row], 0), by its upper 24 bits / 2^24. temperature 0: the most likely token.
// src/random.ts holds the same generator.
struct Params {
  b: u32,
  vocab: u32,
  temperature: f32,
  top_k: u32,
  top_p: f32,
  key0: u32,
  key1: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> next: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> streams: array<u32>;
@group(0) @binding(4) var<storage, read> lengths: array<u32>;

const NONE = 0xffffffffu;

/// High 32 bits of the 64-bit product.
fn multiply_high(a: u32, b: u32) -> u32 {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let middle = a_high * b_low + ((a_low * b_low) >> 16u);
  let cross_term = a_low * b_high + (middle & 0xffffu);
  return a_high * b_high + (middle >> 16u) + (cross_term >> 16u);
}

/// First word of Philox4x32-10.
fn philox(start: vec4u, key: vec2u) -> u32 {
  var counter = start;
  var k = key;
  for (var round = 0u; round < 10u; round = round + 1u) {
    counter = vec4u(
      multiply_high(0xcd9e8d57u, counter.z) ^ counter.y ^ k.x,
      0xcd9e8d57u * counter.z,
      multiply_high(0xd2511f53u, counter.x) ^ counter.w ^ k.y,
      0xd2511f53u * counter.x,
    );
    k = k + vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return counter.x;
}

/// Maps floats to unsigned integers of the same order.
fn rank(x: f32) -> u32 {
  // −0 and 0 are one value.
  let bits = bitcast<u32>(x + 0.0);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

fn count_from(base: u32, lane: u32, threshold: u32) -> u32 {
  var count = 0u;
  for (var i = lane; i < params.vocab; i = i + LANES) {
    count = count + select(0u, 1u, rank(logits[base + i]) >= threshold);
  }
  return reduce_sum_u32(lane, count);
}

fn mass_from(base: u32, lane: u32, threshold: u32, maximum: f32) -> f32 {
  var sum = 0.0;
  for (var i = lane; i < params.vocab; i = i + LANES) {
    let x = logits[base + i];
    if (rank(x) >= threshold) {
      sum = sum + exp_f32((x - maximum) / params.temperature);
    }
  }
  return reduce_sum(lane, sum);
}

/// The first kept token, in order of id, at which the running sum of probabilities passes the fraction `u` of their total.
fn draw(base: u32, lane: u32, threshold: u32, maximum: f32, u: f32) -> u32 {
  let span = (params.vocab + LANES - 1u) / LANES;
  let end = min((lane + 1u) * span, params.vocab);
  var mass = 0.0;
  for (var i = lane * span; i < end; i = i + 1u) {
    let x = logits[base + i];
    if (rank(x) >= threshold) {
      mass = mass + exp_f32((x - maximum) / params.temperature);
    }
  }
  let before = reduce_prefix(lane, mass);
  let target_mass = u * reduce_sum(lane, mass);
  var hit = NONE;
  var last = 0u;
  var sum = 0.0;
  for (var i = lane * span; i < end && hit == NONE; i = i + 1u) {
    let x = logits[base + i];
    if (rank(x) >= threshold) {
      last = i;
      sum = sum + exp_f32((x - maximum) / params.temperature);
      if (before + sum > target_mass) {
        hit = i;
      }
    }
  }
  let first = reduce_min_u32(lane, hit);
  // Rounding can leave the sum just short of the target: then the last kept token is meant.
  let fallback = NONE - reduce_min_u32(lane, NONE - last);
  return select(first, fallback, first == NONE);
}

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let row = (group.x + group.y * groups.x) * ROWS + local.y;
  let lane = local.x;
  // Rows past the end repeat the last one, so that every lane meets the barriers.
  let source = min(row, params.b - 1u);
  let base = source * params.vocab;

  var maximum = -3.0e38;
  for (var i = lane; i < params.vocab; i = i + LANES) {
    maximum = max(maximum, logits[base + i]);
  }
  maximum = reduce_max(lane, maximum);

  var chosen = NONE;
  if (params.temperature == 0.0) {
    for (var i = lane; i < params.vocab; i = i + LANES) {
      if (logits[base + i] >= maximum) {
        chosen = min(chosen, i);
      }
    }
    chosen = reduce_min_u32(lane, chosen);
  } else {
    // The largest rank that leaves at least top_k tokens, bit by bit from the top.
    var threshold = 0u;
    if (params.top_k > 0u && params.top_k < params.vocab) {
      for (var bit = 0x80000000u; bit > 0u; bit = bit >> 1u) {
        if (count_from(base, lane, threshold | bit) >= params.top_k) {
          threshold = threshold | bit;
        }
      }
    }
    if (params.top_p < 1.0) {
      let wanted = params.top_p * mass_from(base, lane, threshold, maximum);
      var nucleus = 0u;
      for (var bit = 0x80000000u; bit > 0u; bit = bit >> 1u) {
        if (mass_from(base, lane, max(nucleus | bit, threshold), maximum) >= wanted) {
          nucleus = nucleus | bit;
        }
      }
      threshold = max(nucleus, threshold);
    }
    let counter = vec4u(streams[2u * source], streams[2u * source + 1u], lengths[source], 0u);
    let u = f32(philox(counter, vec2u(params.key0, params.key1)) >> 8u) * 5.9604645e-8;
    chosen = draw(base, lane, threshold, maximum, u);
  }
  if (lane == 0u && row < params.b) {
    next[row] = min(chosen, params.vocab - 1u);
  }
}
