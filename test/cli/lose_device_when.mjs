/** Imported before the command: destroys its GPU device as soon as it has written a file whose path ends with LOSE_WHEN. */
import { createRequire } from 'node:module';
import { afterWrites } from './after_writes.mjs';

const { globals } = await import(createRequire(import.meta.url).resolve('webgpu'));
const { prototype } = globals.GPUAdapter;
const { requestDevice } = prototype;
const devices = [];
prototype.requestDevice = async function (...given) {
  const device = await requestDevice.apply(this, given);
  devices.push(device);
  return device;
};

afterWrites(process.env.LOSE_WHEN, () => {
  for (const device of devices) device.destroy();
});
