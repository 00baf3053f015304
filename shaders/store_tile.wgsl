// Library: writes four columns of row first_row + row of out, as far as they lie within [m, n].
fn store(first_row: u32, row: u32, column: u32, sums: vec4f) {
  if (row >= params.m) {
    return;
  }
  let base = (first_row + row) * params.n + column;
  // unroll
  for (var i = 0u; i < 4u; i++) {
    if (column + i < params.n) {
      var value = params.scale * sums[i];
      if (params.accumulate != 0u) {
        value = value + out[base + i];
      }
      out[base + i] = value;
    }
  }
}
