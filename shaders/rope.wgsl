// Rotates x [n, heads, 2 · half] in place by the angles of cosine, sine [max_position, half] at positions [n];
// direction −1 rotates back.
struct Params { n: u32, heads: u32, half_dim: u32, max_position: u32, direction: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> cosine: array<f32>;
@group(0) @binding(3) var<storage, read> sine: array<f32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  let half_dim = params.half_dim;
  let pairs = params.heads * half_dim;
  if (i >= params.n * pairs) {
    return;
  }
  let row = i / pairs;
  let pair = i % half_dim;
  let low = (i / half_dim) * half_dim * 2u + pair;
  let high = low + half_dim;
  let angle = min(positions[row], params.max_position - 1u) * half_dim + pair;
  let c = cosine[angle];
  let s = sine[angle] * params.direction;
  let first = x[low];
  let second = x[high];
  x[low] = first * c - second * s;
  x[high] = second * c + first * s;
}
