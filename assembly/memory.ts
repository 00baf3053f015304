/** One stack of buffers in linear memory: callers take what a computation needs and give all of it back at once. */
let top: usize = (__heap_base + 15) & ~15;

/** A buffer of `bytes` bytes on a 16-byte boundary, holding whatever was there; 0 if memory cannot grow that far. */
export function allocate(bytes: usize): usize {
  const start = top;
  const end = (start + bytes + 15) & ~15;
  if (end < start) return 0;
  const capacity = (<usize>memory.size()) << 16;
  if (end > capacity && memory.grow(<i32>((end - capacity + 0xffff) >> 16)) < 0) return 0;
  top = end;
  return start;
}

/** Where the next buffer will start: pass it to `release` to give back everything allocated after this call. */
export function mark(): usize {
  return top;
}

export function release(position: usize): void {
  top = position;
}
