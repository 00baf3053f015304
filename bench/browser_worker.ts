/** The worker of bench/browser.ts. */
import * as Comlink from 'comlink';
import { HttpFolder } from '../src/data/http_folder.ts';
import type { DeviceChoice } from '../src/host/device.ts';
import { trainingRate } from './browser_training.ts';

Comlink.expose({
  rate: (device: DeviceChoice, threads: number) =>
    trainingRate(new HttpFolder('/demo/policy'), device, threads),
});
