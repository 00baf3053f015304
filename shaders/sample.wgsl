// uses: math, philox, reduce
// next [b]: one token per row of logits [b, vocab], drawn from softmax(logits / temperature) among the top_k most likely
// (with all that tie with the k-th), then among the fewest of those whose probability reaches top_p (with ties). The
// draw walks the kept tokens in order of id until their sum passes u times the total, u = first Philox word of counter
// (streams[row, 0], streams[row, 1], lengths[row], 0), by its upper 24 bits / 2^24. temperature 0: the most likely token.
// logps [b] is the token's log-probability among the kept ones, at that temperature. src/random.ts holds the same generator.
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
@group(0) @binding(2) var<storage, read_write> logps: array<f32>;
@group(0) @binding(3) var<storage, read> logits: array<f32>;
@group(0) @binding(4) var<storage, read> streams: array<u32>;
@group(0) @binding(5) var<storage, read> lengths: array<u32>;

const NONE = 0xffffffffu;

/// Maps floats to unsigned integers of the same order.
fn rank(x: f32) -> u32 {
  // −0 and 0 are one value.
  let bits = bitcast<u32>(x + 0.0);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

/// For each threshold: how many tokens rank at or above it, or, if `weighted`, the sum of their exp((x − maximum) /
/// temperature). Nothing is added up when `skip`.
fn mass_from(base: u32, lane: u32, thresholds: vec4u, weighted: bool, maximum: f32, skip: bool) -> vec4f {
  let end = select(params.vocab, 0u, skip);
  var sums = vec4f();
  for (var i = lane; i < end; i = i + LANES) {
    let x = logits[base + i];
    var weight = 1.0;
    if (weighted) {
      weight = exp_f32((x - maximum) / params.temperature);
    }
    sums = sums + select(vec4f(), vec4f(weight), vec4u(rank(x)) >= thresholds);
  }
  return reduce_sum_vec4(lane, sums);
}

/// The largest rank, at least `lowest`, from which upward there is as much as `wanted`: two bits at a time from the top.
fn threshold_of(base: u32, lane: u32, lowest: u32, wanted: f32, weighted: bool, maximum: f32) -> u32 {
  var threshold = 0u;
  var exact = false;
  for (var shift = 32u; shift > 0u; shift = shift - 2u) {
    let digits = vec4u(threshold) | (vec4u(1u, 2u, 3u, 3u) << vec4u(shift - 2u));
    let sums = mass_from(base, lane, max(digits, vec4u(lowest)), weighted, maximum, exact);
    // unroll
    for (var digit = 0u; digit < 3u; digit++) {
      if (sums[digit] >= wanted && !exact) {
        threshold = digits[digit];
      }
    }
    // More bits would not change the set.
    exact = exact || sums.x == wanted || sums.y == wanted || sums.z == wanted;
  }
  return max(threshold, lowest);
}

struct Draw {
  token: u32,
  logp: f32,
}

/// The first kept token, in order of id, at which the running sum of probabilities passes the fraction `u` of their total.
fn draw(base: u32, lane: u32, threshold: u32, maximum: f32, u: f32) -> Draw {
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
  let total = reduce_sum(lane, mass);
  let target_mass = u * total;
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
  let token = min(select(first, fallback, first == NONE), params.vocab - 1u);
  return Draw(token, (logits[base + token] - maximum) / params.temperature - log_f32(total));
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

  var chosen = Draw(NONE, 0.0);
  if (params.temperature == 0.0) {
    for (var i = lane; i < params.vocab; i = i + LANES) {
      if (logits[base + i] >= maximum) {
        chosen.token = min(chosen.token, i);
      }
    }
    chosen.token = min(reduce_min_u32(lane, chosen.token), params.vocab - 1u);
  } else {
    var threshold = 0u;
    if (params.top_k > 0u && params.top_k < params.vocab) {
      threshold = threshold_of(base, lane, 0u, f32(params.top_k), false, maximum);
    }
    if (params.top_p < 1.0) {
      let total = mass_from(base, lane, vec4u(threshold), true, maximum, false).x;
      threshold = threshold_of(base, lane, threshold, params.top_p * total, true, maximum);
    }
    let counter = vec4u(streams[2u * source], streams[2u * source + 1u], lengths[source], 0u);
    let u = f32(philox(counter, vec2u(params.key0, params.key1)).x >> 8u) * 5.9604645e-8;
    chosen = draw(base, lane, threshold, maximum, u);
  }
  if (lane == 0u && row < params.b) {
    next[row] = chosen.token;
    logps[row] = chosen.logp;
  }
}
