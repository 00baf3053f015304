/**
 * Adds up f64[blocks][width] over the blocks, into the first block, by a balanced tree. The tree depends on nothing but
 * the number of blocks, so shares of them may come from any number of threads or shards without a change in one bit.
 */
export function sumBlocks(partial: usize, blocks: i32, width: i32): void {
  const size = (<usize>width) << 3;
  for (let stride = 1; stride < blocks; stride <<= 1) {
    for (let block = 0; block + stride < blocks; block += stride << 1) {
      const into = partial + <usize>block * size;
      const from = into + <usize>stride * size;
      for (let i: usize = 0; i < size; i += 8)
        store<f64>(into + i, load<f64>(into + i) + load<f64>(from + i));
    }
  }
}
