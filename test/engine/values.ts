import type { Engine, Tensor } from '../../src/engine/engine.ts';

/** The values of a tensor of either type. */
export function values(engine: Engine, tensor: Tensor): Promise<Float32Array | Uint32Array> {
  return tensor.dtype === 'f32' ? engine.read(tensor) : engine.readU32(tensor);
}
