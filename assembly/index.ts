export { cos, exp, expAll, log, logAll, sin } from './math';
export { allocate, mark, release } from './memory';
