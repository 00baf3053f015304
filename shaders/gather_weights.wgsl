// uses: weights
// out [n, d] = a table [rows_table, d] of weights in a format at rows [n], which begins at vector `first4`.
struct Params { n: u32, d: u32, rows_table: u32, first4: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.n * params.d) {
    return;
  }
  let at = min(rows[i / params.d], params.rows_table - 1u) * params.d + i % params.d;
  let values = weights4(params.first4 + at / 4u);
  out[i] = values[at % 4u];
}
