// Appends next [b] to tokens [b, max_length] at lengths [b] for rows that are not finished, and counts it. A row is
// finished [b] after a token of eos [e] or when full. current [b] and positions [b] are its last token and that token's
// position.
struct Params { b: u32, max_length: u32, eos_count: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(2) var<storage, read_write> lengths: array<u32>;
@group(0) @binding(3) var<storage, read_write> finished: array<u32>;
@group(0) @binding(4) var<storage, read_write> current: array<u32>;
@group(0) @binding(5) var<storage, read_write> positions: array<u32>;
@group(0) @binding(6) var<storage, read> next: array<u32>;
@group(0) @binding(7) var<storage, read> eos: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * 64u;
  if (row >= params.b) {
    return;
  }
  var length = min(lengths[row], params.max_length);
  var done = finished[row] != 0u || length == params.max_length;
  if (!done) {
    let token = next[row];
    tokens[row * params.max_length + length] = token;
    length = length + 1u;
    done = length == params.max_length;
    for (var i = 0u; i < params.eos_count; i = i + 1u) {
      done = done || token == eos[i];
    }
  }
  lengths[row] = length;
  finished[row] = select(0u, 1u, done);
  let last = max(length, 1u) - 1u;
  current[row] = tokens[row * params.max_length + last];
  positions[row] = last;
}
