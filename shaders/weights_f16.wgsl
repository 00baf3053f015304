// Library: weights in half precision, four at a time.
@group(0) @binding(3) var<storage, read> weights: array<vec2u>;

fn weights4(at: u32) -> vec4f {
  let pairs = weights[at];
  return vec4f(unpack2x16float(pairs.x), unpack2x16float(pairs.y));
}
