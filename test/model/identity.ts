/** Prints the driver and the digests of sampled tokens and of a trained adapter; hosts.test.ts compares hosts. */
import { modelDigests } from './digests.ts';
import { engines } from './engines.ts';
import { loadStories } from './golden.ts';

const engine = await engines.find(({ name }) => name === 'WebGPU')!.open();
const digests = await modelDigests(await loadStories(engine));
console.log(engine.info.description);
for (const digest of digests) console.log(digest);
engine.destroy();
