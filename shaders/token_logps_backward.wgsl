// uses: math
// logits [n, width] = dlogps [n] · (onehot(targets [n]) − exp(logits − lse [n])): columns start … start + width − 1 of
// [n, vocab].
struct Params { n: u32, width: u32, start: u32, vocab: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read> dlogps: array<f32>;
@group(0) @binding(3) var<storage, read> lse: array<f32>;
@group(0) @binding(4) var<storage, read> targets: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.n * params.width) {
    return;
  }
  let row = i / params.width;
  let target_column = min(targets[row], params.vocab - 1u);
  let hit = select(0.0, 1.0, target_column == params.start + i % params.width);
  logits[i] = dlogps[row] * (hit - exp_f32(logits[i] - lse[row]));
}
