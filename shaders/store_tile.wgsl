// Library: writes four columns of row first_row + row of out, if they lie within [m, n].
fn store(first_row: u32, row: u32, column: u32, sums: vec4f) {
  if (row >= params.m || column >= params.n) {
    return;
  }
  let at = ((first_row + row) * params.n + column) / 4u;
  var value = params.scale * sums;
  if (params.accumulate != 0u) {
    value = value + out[at];
  }
  out[at] = value;
}
