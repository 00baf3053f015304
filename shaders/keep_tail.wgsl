// Library: for kernels that take four elements at a time of tensors [n], n not always a multiple of four.
/// `value` for the elements below n, and what stands there now for those after the end: another view may own them.
fn keep_tail(first: u32, value: vec4f, present: vec4f) -> vec4f {
  return select(present, value, vec4u(first) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.n));
}
