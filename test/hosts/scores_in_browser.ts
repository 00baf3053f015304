/** Page of scores.test.ts: leaves the scores of fixed rows in `globalThis.result`. */

import { HttpFolder } from '../../src/data/http_folder.ts';
import { scoresInHex } from '../score/support/score_rows.ts';

const folders = ['/stories-reward', '/stories-cost'].map((path) => new HttpFolder(path));
const result = Promise.all(folders.map(scoresInHex));
Object.assign(globalThis, { result });
