// Library: weights in bfloat16, four at a time: the upper half of an f32.
@group(0) @binding(3) var<storage, read> weights: array<vec2u>;

fn weights4(at: u32) -> vec4f {
  let pairs = weights[at].xxyy;
  return bitcast<vec4f>(vec4u(pairs.x << 16u, pairs.y & 0xffff0000u, pairs.z << 16u, pairs.w & 0xffff0000u));
}
