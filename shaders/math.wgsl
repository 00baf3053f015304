// Library: exp and log from basic operations (Cephes expf, logf), since those of drivers differ in their last bits.

/// e^x within 2 ulp; 0 below -87, saturated above 88; NaN stays NaN.
fn exp_f32(x: f32) -> f32 {
  let n = floor(clamp(x, -87.0, 88.0) * 1.44269504 + 0.5);
  let r = (x - n * 0.693359375) + n * 2.12194440e-4;
  var p = 1.9875691500e-4;
  p = p * r + 1.3981999507e-3;
  p = p * r + 8.3334519073e-3;
  p = p * r + 4.1665795894e-2;
  p = p * r + 1.6666665459e-1;
  p = p * r + 5.0000001201e-1;
  let y = (p * (r * r) + r + 1.0) * bitcast<f32>((i32(n) + 127) << 23u);
  return select(select(y, 0.0, x < -87.0), 1.6516363e38, x > 88.0);
}

/// exp_f32 of each component.
fn exp_vec4(x: vec4f) -> vec4f {
  let n = floor(clamp(x, vec4f(-87.0), vec4f(88.0)) * 1.44269504 + 0.5);
  let r = (x - n * 0.693359375) + n * 2.12194440e-4;
  var p = vec4f(1.9875691500e-4);
  p = p * r + 1.3981999507e-3;
  p = p * r + 8.3334519073e-3;
  p = p * r + 4.1665795894e-2;
  p = p * r + 1.6666665459e-1;
  p = p * r + 5.0000001201e-1;
  let y = (p * (r * r) + r + 1.0) * bitcast<vec4f>((vec4i(n) + 127) << vec4u(23u));
  return select(select(y, vec4f(0.0), x < vec4f(-87.0)), vec4f(1.6516363e38), x > vec4f(88.0));
}

/// Natural logarithm of a positive normal number within 2 ulp; NaN stays NaN.
fn log_f32(x: f32) -> f32 {
  let bits = bitcast<i32>(x);
  var e = (bits >> 23u) - 126;
  var m = bitcast<f32>((bits & 0x007fffff) | 0x3f000000);
  if (m < 0.70710678) {
    e = e - 1;
    m = m + m;
  }
  m = m - 1.0;
  let z = m * m;
  var p = 7.0376836292e-2;
  p = p * m - 1.1514610310e-1;
  p = p * m + 1.1676998740e-1;
  p = p * m - 1.2420140846e-1;
  p = p * m + 1.4249322787e-1;
  p = p * m - 1.6668057665e-1;
  p = p * m + 2.0000714765e-1;
  p = p * m - 2.4999993993e-1;
  p = p * m + 3.3333331174e-1;
  let f = f32(e);
  let y = (p * m * z - f * 2.12194440e-4 - 0.5 * z + m) + f * 0.693359375;
  return select(y, x, x != x);
}

/// log(1 + z) for z in [0, 1], accurate for small z: 2 atanh(z / (2 + z)).
fn log1p_f32(z: f32) -> f32 {
  let s = z / (2.0 + z);
  let w = s * s;
  var p = 1.0 / 15.0;
  p = p * w + 1.0 / 13.0;
  p = p * w + 1.0 / 11.0;
  p = p * w + 1.0 / 9.0;
  p = p * w + 1.0 / 7.0;
  p = p * w + 1.0 / 5.0;
  p = p * w + 1.0 / 3.0;
  return 2.0 * (s + s * w * p);
}
