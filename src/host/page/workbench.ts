import { METRICS } from '../../align/artefacts.ts';
import { collect } from '../../align/collect.ts';
import { parseConfig } from '../../align/config.ts';
import type { Context } from '../../align/context.ts';
import { solveDual } from '../../align/dual.ts';
import { mocan } from '../../align/mocan.ts';
import { pecan } from '../../align/pecan.ts';
import { prealign } from '../../align/prealign.ts';
import { score } from '../../align/score.ts';
import { parseJsonl } from '../../data/jsonl.ts';
import { Run } from '../../data/run.ts';
import { UserError } from '../../errors.ts';
import { loadChatTemplate } from '../../model/chat.ts';
import type { Metrics } from '../../report/data.ts';
import type { ScoreFunction } from '../../score/function.ts';
import { PageFolder } from '../page_storage.ts';
import { runtimeName } from '../runtime.ts';
import { type ChatRequest, type ChatTurn, Talk, type TokenListener } from './chat.ts';
import type { RunListener, RunOutcome, RunRequest } from './events.ts';
import { Gate, gatedFolder } from './gate.ts';
import { fetchPageModel, type HubOptions } from './hub.ts';
import { importModel } from './import.ts';
import { folderOf } from './places.ts';
import { PageSources } from './sources.ts';
import { telling } from './telling.ts';
import { inWords, type Words } from './wording.ts';

/** Milliseconds that a worker which was ended may take to let go of its run. */
const PATIENCE = 5000;
/** Told of bytes that are done, of how many. */
export type BytesListener = (done: number, total: number) => void;

const PARTIAL = `${METRICS}.partial`;

/**
 * What a worker of a page does for it: whole runs, in the storage of the page's origin, and talk with their policies. A
 * page that ends the worker cancels what it does; the same request goes on from the last checkpoint.
 */
export class Workbench {
  #functions: Readonly<Record<string, ScoreFunction>>;
  #words: Words;
  #gate = new Gate();
  #talk: Talk | undefined;

  /** `functions` are scorers by the names that runs call them; `words` what the page calls settings. */
  constructor(functions: Readonly<Record<string, ScoreFunction>> = {}, words: Words = {}) {
    this.#functions = functions;
    this.#words = words;
  }

  /** Makes a run or goes on with it; one worker at a time works on a folder. */
  async align(request: RunRequest, tell: RunListener): Promise<RunOutcome> {
    this.endTalk();
    this.#gate.open();
    // A lock also keeps the browser from freezing the page while nobody looks at it.
    const waiting = { signal: AbortSignal.timeout(PATIENCE) };
    try {
      return await navigator.locks.request(`dualign ${request.out}`, waiting, () =>
        this.#telling(tell, (told) => this.#align(request, told)),
      );
    } catch (error) {
      if (!(error instanceof DOMException && error.name === 'TimeoutError')) throw error;
      throw new UserError(
        `${request.out}: another tab works on this run; close it, or wait until it is done`,
      );
    }
  }

  /** Lets a run stand still once it has written what it is at. */
  pause(): void {
    this.#gate.close();
  }

  resume(): void {
    this.#gate.open();
  }

  /** Answers as the reference and as the aligned policy, side by side as the tokens come. */
  async chat(request: ChatRequest, tell: TokenListener): Promise<ChatTurn[]> {
    if (!this.#talk?.fits(request)) {
      this.endTalk();
      this.#talk = new Talk(request);
    }
    const talk = this.#talk;
    try {
      return await this.#telling(tell, (told) => talk.answer(request, told));
    } catch (error) {
      // What went wrong once, such as a device that was lost, stays wrong: the next question begins anew.
      if (this.#talk === talk) this.endTalk();
      throw error;
    }
  }

  stopChat(): void {
    this.#talk?.stop();
  }

  /** Frees what talking holds. */
  endTalk(): void {
    this.#talk?.close();
    this.#talk = undefined;
  }

  /** Copies a model that the user picked into the origin's storage (`importModel`). */
  async importModel(name: string, files: readonly File[], told: BytesListener): Promise<string> {
    return await this.#telling(told, (tell) => importModel(name, files, tell));
  }

  /** Fetches a hub's model into it (`fetchPageModel`). */
  async fetchModel(name: string, options: HubOptions, told: BytesListener): Promise<string> {
    return await this.#telling(told, (tell) => {
      const progress = { download: (_: string, done: number, total: number) => tell(done, total), say() {} };
      return fetchPageModel(name, progress, options);
    });
  }

  /** Whether a policy's folder says how conversations become text. */
  async hasChatTemplate(policy: string): Promise<boolean> {
    return (await loadChatTemplate(folderOf(policy))) !== undefined;
  }

  /** `telling`, with errors in the page's words: nothing but their text gets to the page. */
  async #telling<A extends readonly unknown[], R>(
    listener: (...told: A) => unknown,
    work: (tell: (...told: A) => void) => Promise<R>,
  ): Promise<R> {
    try {
      return await telling(listener, work);
    } catch (error) {
      throw error instanceof UserError ? new UserError(inWords(error, this.#words), error.exitCode) : error;
    }
  }

  async #align({ out, config: options, redo = false, until, threads }: RunRequest, tell: RunListener) {
    const folder = gatedFolder(new PageFolder(out), this.#gate, (path, content, how) => {
      if (path.endsWith(PARTIAL) && typeof content === 'string') {
        const rows = parseJsonl(content, path, (row) => row as Metrics);
        tell({ kind: 'metrics', folder: path.slice(0, -PARTIAL.length), rows, all: how === 'write' });
      }
      if (this.#gate.paused) tell({ kind: 'paused' });
    });
    const run = await Run.open(folder, runtimeName());
    const config = parseConfig(options ?? run.manifest.config, out);
    run.configure(config, redo);
    const sources = new PageSources(config.device, {
      threads,
      dtype: config.dtype,
      chatTemplate: config.chat_template,
      chatTemplateKwargs: config.chat_template_kwargs,
      functions: this.#functions,
      onDevice: (info) => tell({ kind: 'device', info }),
    });
    const progress: Context['progress'] = {
      stage: (name, state, note) => tell({ kind: 'stage', name, state, note }),
      advance: (done, total, unit, note) => tell({ kind: 'advance', done, total, unit, note }),
      say: (what, mend = []) => tell({ kind: 'say', text: inWords({ what, mend }, this.#words) }),
    };
    const context = { run, config, sources, progress };
    try {
      return await (until === 'dual' ? solveFirst(context) : alignAll(context));
    } finally {
      sources.close();
    }
  }
}

async function alignAll(context: Context): Promise<RunOutcome> {
  const { dual, report } = await (context.config.method === 'pecan' ? pecan : mocan)(context);
  return { dual, finished: report !== undefined };
}

/** All stages up to λ*. */
async function solveFirst(context: Context): Promise<RunOutcome> {
  if (context.config.method === 'pecan') await prealign(context);
  await collect(context);
  await score(context);
  return { dual: await solveDual(context), finished: false };
}
