/** Imported before the command: writes the most bytes that its engine came to hold into the file ENGINE_PEAK. */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** That of the CPU engine: no other memory may grow so far. */
const ENGINE_PAGES = 65_536;

const memories = [];
const { Memory } = WebAssembly;
WebAssembly.Memory = class extends Memory {
  constructor(descriptor) {
    super(descriptor);
    if (descriptor.maximum === ENGINE_PAGES && descriptor.initial === 1) memories.push(this);
  }
};

let [bytes, peak] = [0, 0];

/** Counts every buffer of Dawn's devices. */
async function countBuffers() {
  const { globals } = await import(createRequire(import.meta.url).resolve('webgpu'));
  const { prototype } = globals.GPUDevice;
  const { createBuffer } = prototype;
  prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    const { size } = buffer;
    const destroy = buffer.destroy.bind(buffer);
    bytes += size;
    peak = Math.max(peak, bytes);
    buffer.destroy = () => {
      bytes -= size;
      destroy();
    };
    return buffer;
  };
}

// Without the optional package there is nothing to count.
await countBuffers().catch(() => {});

process.on('exit', () => {
  const wasm = memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
  writeFileSync(process.env.ENGINE_PEAK, String(peak > 0 ? peak : wasm));
});
