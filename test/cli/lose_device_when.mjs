/** Imported before the command: destroys its GPU device as soon as it has written a file whose path ends with LOSE_WHEN. */
import fs from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';

const { globals } = await import(createRequire(import.meta.url).resolve('webgpu'));
const { prototype } = globals.GPUAdapter;
const { requestDevice } = prototype;
const devices = [];
prototype.requestDevice = async function (...given) {
  const device = await requestDevice.apply(this, given);
  devices.push(device);
  return device;
};

const { appendFile, rename } = fs.promises;
const wanted = process.env.LOSE_WHEN;

function loseAfter(path) {
  if (String(path).endsWith(wanted)) for (const device of devices) device.destroy();
}

fs.promises.appendFile = async (path, ...rest) => {
  await appendFile(path, ...rest);
  loseAfter(path);
};
fs.promises.rename = async (from, to) => {
  await rename(from, to);
  loseAfter(to);
};
syncBuiltinESMExports();
