/** Page of scores.test.ts: leaves the scores of fixed rows in `globalThis.result`. */
import { scoresInHex } from '../score/support/score_rows.ts';
import { FetchedFolder } from '../support/fetched_folder.ts';

const folders = ['/stories-reward', '/stories-cost'].map((path) => new FetchedFolder(path));
const result = Promise.all(folders.map(scoresInHex));
Object.assign(globalThis, { result });
