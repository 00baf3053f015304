import { PageFolder } from '../../src/host/page_storage.ts';
import { DEFAULTS, DEMO, type State } from '../shared/state.ts';
import { HOME } from '../work/protocol.ts';

const FILE = 'state.json';

const EMPTY: State = {
  model: DEMO,
  models: [DEMO],
  turns: [],
  answering: false,
  answersBy: 'original',
  counts: { helpful: 0, safe: 0, prompts: 0 },
  settings: DEFAULTS,
};

/** The state as it is kept on disk, in the storage of the extension. */
export class Store {
  readonly folder = new PageFolder(HOME);
  #writing: Promise<void> = Promise.resolve();

  async read(): Promise<State> {
    if (!(await this.folder.exists(FILE))) return EMPTY;
    return { ...EMPTY, ...(JSON.parse(await this.folder.readText(FILE)) as State), answering: false };
  }

  /** Writes follow each other, so that the last one stays. */
  write(state: State): Promise<void> {
    this.#writing = this.#writing.catch(() => {}).then(() => this.folder.write(FILE, JSON.stringify(state)));
    return this.#writing;
  }

  /** Removes all that the extension keeps. */
  async clear(): Promise<State> {
    await this.#writing.catch(() => {});
    const root = await navigator.storage.getDirectory();
    for await (const name of (root as unknown as { keys(): AsyncIterable<string> }).keys()) {
      await root.removeEntry(name, { recursive: true });
    }
    return EMPTY;
  }

  /** Whether work was under way when the browser ended. */
  static async hasUnfinishedWork(): Promise<boolean> {
    const store = new Store();
    return (await store.read()).work?.status === 'running';
  }
}
