// In place on logits [b, vocab]: of every token among the first lengths [b] of tokens [b, max_length], once, a logit below 0
// is multiplied by penalty and another divided by it. One invocation per place of a row: it acts for the first of equals.
struct Params { b: u32, vocab: u32, max_length: u32, penalty: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read> lengths: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  let row = i / params.max_length;
  let place = i % params.max_length;
  if (row >= params.b || place >= lengths[row]) {
    return;
  }
  let start = row * params.max_length;
  let token = tokens[i];
  if (token >= params.vocab) {
    return;
  }
  for (var earlier = start; earlier < i; earlier = earlier + 1u) {
    if (tokens[earlier] == token) {
      return;
    }
  }
  let at = row * params.vocab + token;
  let x = logits[at];
  logits[at] = select(x / params.penalty, x * params.penalty, x < 0.0);
}
