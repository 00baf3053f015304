// Library: weights in 4-bit NormalFloat, four at a time. A block of 64 is eight words of codes, then its scale.
@group(0) @binding(3) var<storage, read> weights: array<u32>;

const NF4 = array<f32, 16>(
  -1.0,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0.0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1.0,
);

fn weights4(at: u32) -> vec4f {
  let block = (at / 16u) * 9u;
  let codes = weights[block + (at % 16u) / 2u] >> ((at % 2u) * 16u);
  let values = vec4f(
    NF4[codes & 15u],
    NF4[(codes >> 4u) & 15u],
    NF4[(codes >> 8u) & 15u],
    NF4[(codes >> 12u) & 15u],
  );
  return values * bitcast<f32>(weights[block + 8u]);
}
