// uses: math
// Clipped policy gradient with a penalty, all tensors [n]: with ratio = exp(logps − old_logps), away = ref_logps − logps,
// losses = weights · (−min(ratio A, clamp(ratio, lowest, highest) A) + beta · c · (exp(away) − away − 1)), A = advantages,
// c = ratio where weigh_kl is 1, else 1; dlogps = d losses / d logps.
struct Params { n: u32, lowest: f32, highest: f32, beta: f32, weigh_kl: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> losses: array<f32>;
@group(0) @binding(2) var<storage, read_write> dlogps: array<f32>;
@group(0) @binding(3) var<storage, read> logps: array<f32>;
@group(0) @binding(4) var<storage, read> old_logps: array<f32>;
@group(0) @binding(5) var<storage, read> ref_logps: array<f32>;
@group(0) @binding(6) var<storage, read> advantages: array<f32>;
@group(0) @binding(7) var<storage, read> weights: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.n) {
    return;
  }
  let ratio = exp_f32(logps[i] - old_logps[i]);
  let free = ratio * advantages[i];
  let bound = clamp(ratio, params.lowest, params.highest) * advantages[i];
  let away = ref_logps[i] - logps[i];
  let drift = exp_f32(away);
  // exp(away) − away − 1 without cancellation near 0: its series.
  let small = away * away * (0.5 + away * (1.0 / 6.0 + away * (1.0 / 24.0 + away / 120.0)));
  let penalty = select(drift - away - 1.0, small, abs(away) < 0.05);
  let slope = select(0.0, -free, free <= bound);
  let weigh = params.weigh_kl == 1u;
  let scale = select(1.0, ratio, weigh);
  // The ratio's own gradient turns penalty + 1 − drift into −away.
  let pull = select(1.0 - drift, -ratio * away, weigh);
  losses[i] = weights[i] * (params.beta * scale * penalty - min(free, bound));
  dlogps[i] = weights[i] * (slope + params.beta * pull);
}
