// uses: math
// Losses of preferences, as `loss` says, with labels q [p]. Rows 0 … p − 1 of logps, ref_logps [2p] are chosen, the rest
// rejected; δ = (logps_c − ref_c) − (logps_r − ref_r). losses [p]: 0, sigmoid (Rafailov et al. 2023, eq. 7)
// −q log σ(beta δ) − (1 − q) log σ(−beta δ); 1, ipo (Azar et al. 2023, eq. 17) (δ − 1 / (2 beta))²; 2, hinge (Zhao et al.
// 2023) max(0, 1 − beta δ). dlogps [2p] = scale · d losses / d logps.
struct Params { p: u32, loss: u32, beta: f32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> losses: array<f32>;
@group(0) @binding(2) var<storage, read_write> dlogps: array<f32>;
@group(0) @binding(3) var<storage, read> logps: array<f32>;
@group(0) @binding(4) var<storage, read> ref_logps: array<f32>;
@group(0) @binding(5) var<storage, read> labels: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.p) {
    return;
  }
  let j = i + params.p;
  let distance = (logps[i] - ref_logps[i]) - (logps[j] - ref_logps[j]);
  let delta = params.beta * distance;
  var loss = 0.0;
  var slope = 0.0;
  if (params.loss == 1u) {
    let miss = distance - 0.5 / params.beta;
    loss = miss * miss;
    slope = 2.0 * miss;
  } else if (params.loss == 2u) {
    loss = max(0.0, 1.0 - delta);
    slope = select(0.0, -params.beta, loss > 0.0);
  } else {
    let label = labels[i];
    let small = exp_f32(-abs(delta));
    // −q log σ(Δ) − (1 − q) log σ(−Δ), both logarithms by the argument that does not overflow.
    loss = log1p_f32(small) + label * max(-delta, 0.0) + (1.0 - label) * max(delta, 0.0);
    // σ(−Δ) and σ(Δ), each without cancellation.
    let lower = small / (1.0 + small);
    let upper = 1.0 / (1.0 + small);
    let positive = delta >= 0.0;
    let below = select(upper, lower, positive);
    let above = select(lower, upper, positive);
    slope = params.beta * ((1.0 - label) * above - label * below);
  }
  losses[i] = loss;
  dlogps[i] = params.scale * slope;
  dlogps[j] = -params.scale * slope;
}
