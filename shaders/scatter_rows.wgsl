// Row ids[k] of table [vocab, d] += the rows of x [rows_x, d] that places [p] names from starts[k] to starts[k + 1], in
// order; ids [u] are all different. What is bound of the table are rows_here rows from first_row on.
struct Params { u: u32, p: u32, d: u32, vocab: u32, rows_x: u32, first_row: u32, rows_here: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> table: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read> starts: array<u32>;
@group(0) @binding(5) var<storage, read> places: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.u * params.d) {
    return;
  }
  let k = i / params.d;
  let column = i % params.d;
  // Rows before first_row wrap to numbers that are too large.
  let row = min(ids[k], params.vocab - 1u) - params.first_row;
  if (row >= params.rows_here) {
    return;
  }
  let at = row * params.d + column;
  let end = min(starts[k + 1u], params.p);
  var sum = table[at];
  for (var place = starts[k]; place < end; place++) {
    sum = sum + x[min(places[place], params.rows_x - 1u) * params.d + column];
  }
  table[at] = sum;
}
