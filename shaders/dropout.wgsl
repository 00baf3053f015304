// uses: philox
// out [n, d] (+)= x [n, d] · mask · factor, four columns per invocation. Column j of row i stays where word j mod 4 at
// counter (streams[i], j / 4, site, step) is at least `below` by its upper 24 bits.
struct Params {
  n: u32,
  d: u32,
  below: u32,
  factor: f32,
  key0: u32,
  key1: u32,
  site: u32,
  step: u32,
  accumulate: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> streams: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  let quads = (params.d + 3u) / 4u;
  if (i >= params.n * quads) {
    return;
  }
  let row = i / quads;
  let quad = i % quads;
  let words = philox(vec4u(streams[row], quad, params.site, params.step), vec2u(params.key0, params.key1)) >> vec4u(8u);
  let kept = select(vec4f(), vec4f(params.factor), words >= vec4u(params.below));
  for (var k = 0u; k < 4u && 4u * quad + k < params.d; k++) {
    let at = row * params.d + 4u * quad + k;
    // Not a product with 0: what is dropped may be infinite.
    var value = select(0.0, x[at] * params.factor, kept[k] > 0.0);
    if (params.accumulate != 0u) {
      value = value + out[at];
    }
    out[at] = value;
  }
}
