// uses: weights
// out [n, d] = a table [rows_x, d] of weights in a format at rows [n]. What is bound of it are rows_here rows from
// first_row on, which begin at vector `first4`; the other rows of out are left.
struct Params { n: u32, d: u32, rows_x: u32, first_row: u32, rows_here: u32, first4: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.n * params.d) {
    return;
  }
  // Rows before first_row wrap to numbers that are too large.
  let row = min(rows[i / params.d], params.rows_x - 1u) - params.first_row;
  if (row >= params.rows_here) {
    return;
  }
  let at = row * params.d + i % params.d;
  let values = weights4(params.first4 + at / 4u);
  out[i] = values[at % 4u];
}
