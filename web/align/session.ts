import { CHECKPOINT, DUAL, METRICS, SCORES } from '../../src/align/artefacts.ts';
import type { Limit, RunOptions } from '../../src/align/config.ts';
import type { RunDual } from '../../src/align/dual.ts';
import { parseJsonl } from '../../src/data/jsonl.ts';
import type { DeviceInfo } from '../../src/engine/engine.ts';
import { messageOf } from '../../src/errors.ts';
import { Cancelled, callback, WorkerClient } from '../../src/host/page/client.ts';
import type { RunEvent, RunOutcome, RunRequest } from '../../src/host/page/events.ts';
import { RUNS } from '../../src/host/page/places.ts';
import { persistStorage } from '../../src/host/page/storage.ts';
import type { Workbench } from '../../src/host/page/workbench.ts';
import { PageFolder } from '../../src/host/page_storage.ts';
import type { Metrics } from '../../src/report/data.ts';
import { newRunName, type StoredRun, storedRuns } from './runs.ts';

/** A stage of the run as it is shown. */
export interface ShownStage {
  readonly name: string;
  readonly state: 'started' | 'kept' | 'given' | 'done';
  readonly note?: string;
}

export interface Advance {
  readonly done: number;
  readonly total: number;
  readonly unit: string;
  readonly note?: string;
  /** Units a second since the stage began. */
  readonly rate: number;
}

/** `pausing`: it goes on to the next thing that it writes, and stands still there. */
export type Pace = 'on' | 'pausing' | 'paused';

export type Phase =
  | { readonly kind: 'setup' }
  | { readonly kind: 'running'; readonly pace: Pace }
  /** λ* is there, and the threshold may still be moved. */
  | { readonly kind: 'solved'; readonly dual: RunDual }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly message: string };

/** The run under the user's hand, and those before it. */
export class AlignSession {
  phase: Phase = { kind: 'setup' };
  runs: readonly StoredRun[] = [];
  out: string | undefined;
  config: RunOptions = {};
  stages: readonly ShownStage[] = [];
  advance: Advance | undefined;
  notes: readonly string[] = [];
  device: DeviceInfo | undefined;
  /** Of each adapter that was trained, by its folder in the run; the run's own is ''. */
  metrics: ReadonlyMap<string, readonly Metrics[]> = new Map();
  /** Whether the browser promised to keep the storage; undefined until it answered. */
  persisted: boolean | undefined;
  /** Of what is shown beside the phases, such as a file that cannot be used. */
  error: string | undefined;

  readonly client = new WorkerClient<Workbench>(
    () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' }),
  );
  #changed: () => void;
  #begun = { at: 0, from: 0 };
  #request: RunRequest | undefined;
  #wakeLock: WakeLockSentinel | undefined;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Looks at the runs in the storage. */
  async refresh(): Promise<void> {
    this.runs = await storedRuns();
    this.#changed();
  }

  /** A new run; `choose` stops at λ*. */
  async start(config: RunOptions, choose: boolean): Promise<void> {
    this.out = newRunName(this.runs);
    await this.#run({ out: this.out, config, ...(choose ? { until: 'dual' } : {}) });
  }

  /** Trains with the limit that was chosen. */
  async train(limit: Limit): Promise<void> {
    const config = { ...this.config, limits: [limit] };
    await this.#run({ out: this.out!, config, redo: true });
  }

  /** Goes on with a run, or shows how it ended. */
  async open({ out, config, state }: StoredRun): Promise<void> {
    this.out = out;
    this.config = config;
    if (state === 'done') {
      await this.#readMetrics();
      this.phase = { kind: 'done' };
      this.#changed();
      return;
    }
    await this.#run({ out, config, ...(state === 'training' ? {} : { until: 'dual' }) });
  }

  /** Goes on with what failed, from its last checkpoint. */
  async goOn(): Promise<void> {
    if (this.#request) await this.#run(this.#request);
  }

  /** Back to the threshold of a run that is done. */
  async chooseAgain(): Promise<void> {
    await this.#guard(async () => {
      const dual = JSON.parse(await new PageFolder(this.out!).readText(DUAL)) as RunDual;
      this.phase = { kind: 'solved', dual };
      this.#changed();
    });
  }

  async pause(): Promise<void> {
    this.phase = { kind: 'running', pace: 'pausing' };
    this.#changed();
    await this.client.call((bench) => bench.pause());
  }

  async resume(): Promise<void> {
    await this.client.call((bench) => bench.resume());
    this.phase = { kind: 'running', pace: 'on' };
    this.#restartClock();
    this.#changed();
  }

  /** Ends the work; the run stays, and goes on from its last checkpoint. */
  async cancel(): Promise<void> {
    this.client.cancel();
    await this.leave();
  }

  /** Back to the setup. */
  async leave(): Promise<void> {
    this.phase = { kind: 'setup' };
    this.error = undefined;
    await this.refresh();
  }

  async remove({ out }: StoredRun): Promise<void> {
    await this.#guard(async () => {
      await new PageFolder(RUNS).remove(out.slice(RUNS.length + 1));
      await this.refresh();
    });
  }

  /** The scores of the run at hand, as a file. */
  async scores(): Promise<File> {
    return await new PageFolder(this.out!).file(SCORES);
  }

  /** Tells of an error beside the phases; what `work` gives otherwise. */
  async guard<T>(work: () => Promise<T>): Promise<T | undefined> {
    return await this.#guard(work);
  }

  async #guard<T>(work: () => Promise<T>): Promise<T | undefined> {
    this.error = undefined;
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Cancelled)) this.error = messageOf(error);
      this.#changed();
      return undefined;
    }
  }

  /** Work does not wait for the answer: Firefox asks the user, who may let the question stand. */
  async #keepStorage(): Promise<void> {
    this.persisted ??= await persistStorage().catch(() => false);
    this.#changed();
  }

  async #run(request: RunRequest): Promise<void> {
    this.config = request.config ?? this.config;
    this.#request = request;
    this.phase = { kind: 'running', pace: 'on' };
    this.stages = [];
    this.notes = [];
    this.advance = undefined;
    this.error = undefined;
    this.metrics = new Map();
    this.#changed();
    try {
      void this.#keepStorage();
      await this.#keepAwake();
      const listener = callback((event: RunEvent) => this.#hear(event));
      const outcome = (await this.client.call((bench) => bench.align(request, listener))) as RunOutcome;
      await this.#readMetrics();
      this.phase = outcome.finished ? { kind: 'done' } : { kind: 'solved', dual: outcome.dual };
    } catch (error) {
      if (error instanceof Cancelled) return;
      this.phase = { kind: 'failed', message: messageOf(error) };
    } finally {
      void this.#wakeLock?.release().catch(() => {});
      this.#wakeLock = undefined;
    }
    await this.refresh();
  }

  #hear(event: RunEvent): void {
    switch (event.kind) {
      case 'stage': {
        const before = this.stages.map((stage) =>
          stage.state === 'started' ? { ...stage, state: 'done' as const } : stage,
        );
        const { name, state, note } = event;
        this.stages = [...before, { name, state, note }];
        this.advance = undefined;
        break;
      }
      case 'advance': {
        if (!this.advance) this.#begun = { at: performance.now(), from: event.done };
        const { at, from } = this.#begun;
        const rate = (event.done - from) / Math.max(1e-3, (performance.now() - at) / 1000);
        this.advance = { ...event, rate };
        break;
      }
      case 'say':
        this.notes = [...this.notes, event.text];
        break;
      case 'metrics': {
        const before = event.all ? [] : (this.metrics.get(event.folder) ?? []);
        this.metrics = new Map(this.metrics).set(event.folder, [...before, ...event.rows]);
        break;
      }
      case 'device':
        this.device = event.info;
        break;
      case 'paused':
        this.phase = { kind: 'running', pace: 'paused' };
        break;
    }
    this.#changed();
  }

  #restartClock(): void {
    this.#begun = { at: performance.now(), from: this.advance?.done ?? 0 };
  }

  /** Those of a training that was finished before. */
  async #readMetrics(): Promise<void> {
    const folder = new PageFolder(this.out!);
    if (this.metrics.has('') || (await folder.exists(CHECKPOINT)) || !(await folder.exists(METRICS))) return;
    const rows = parseJsonl(await folder.readText(METRICS), METRICS, (row) => row as Metrics);
    this.metrics = new Map(this.metrics).set('', rows);
  }

  /** A screen that stays on keeps a laptop from falling asleep over a run. */
  async #keepAwake(): Promise<void> {
    try {
      this.#wakeLock = await navigator.wakeLock?.request('screen');
    } catch {
      // Not while the page is hidden, or the battery low.
    }
  }
}
