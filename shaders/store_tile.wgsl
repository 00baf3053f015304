// Library: writes four columns of row first_row + row of out, whose rows are params.stride long, if they lie within
// [m, n], which begins at column params.first_column. Sums that are carried begin at what out holds.
fn place(row: u32, column: u32) -> u32 {
  return (row * params.stride + params.first_column + column) / 4u;
}

fn carried(row: u32, column: u32) -> vec4f {
  if (params.carry == 0u || row >= params.m || column >= params.n) {
    return vec4f();
  }
  return out[place(row, column)];
}

fn store(first_row: u32, row: u32, column: u32, sums: vec4f) {
  if (row >= params.m || column >= params.n) {
    return;
  }
  let at = place(first_row + row, column);
  var value = params.scale * sums;
  if (params.accumulate != 0u) {
    value = value + out[at];
  }
  out[at] = value;
}
