// uses: math
// DPO (Rafailov et al. 2023, eq. 7) with soft labels q [p]. Rows 0 … p − 1 of logps, ref_logps [2p] are chosen, the rest
// rejected. Δ = beta · ((logps_c − ref_c) − (logps_r − ref_r)), losses [p] = −q log σ(Δ) − (1 − q) log σ(−Δ),
// dlogps [2p] = scale · d losses / d logps.
struct Params { p: u32, beta: f32, scale: f32 }
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
  let delta = params.beta * ((logps[i] - ref_logps[i]) - (logps[j] - ref_logps[j]));
  let label = labels[i];
  let small = exp_f32(-abs(delta));
  // −q log σ(Δ) − (1 − q) log σ(−Δ), both logarithms by the argument that does not overflow.
  losses[i] = log1p_f32(small) + label * max(-delta, 0.0) + (1.0 - label) * max(delta, 0.0);
  // σ(−Δ) and σ(Δ), each without cancellation.
  let lower = small / (1.0 + small);
  let upper = 1.0 / (1.0 + small);
  let positive = delta >= 0.0;
  let below = select(upper, lower, positive);
  let above = select(lower, upper, positive);
  let gradient = params.scale * params.beta * ((1.0 - label) * above - label * below);
  dlogps[i] = gradient;
  dlogps[j] = -gradient;
}
