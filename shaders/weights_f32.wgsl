// Library: f32 weights, four at a time.
@group(0) @binding(3) var<storage, read> weights: array<vec4f>;

fn weights4(at: u32) -> vec4f {
  return weights[at];
}
