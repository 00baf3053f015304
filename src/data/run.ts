import { UserError } from '../errors.ts';
import { VERSION } from '../generated/version.ts';
import { subfolder, type WritableFolder } from './folder.ts';
import { sha256 } from './hash.ts';

/** What a stage was made from: settings and input hashes. Equal settings give equal outputs. */
export type StageSettings = Readonly<Record<string, unknown>>;

/** What the manifest says of a stage. */
export interface StageRecord {
  /** `given`: the user put the outputs there; the stage never ran. */
  status: 'running' | 'done' | 'given';
  settings: StageSettings;
  /** sha-256 of each output file. */
  outputs: Record<string, string>;
}

/** The adapter that an engine ran on. */
export interface RunDevice {
  readonly engine: string;
  readonly vendor: string;
  readonly device: string;
  readonly description: string;
  /** What a policy's weights were held as on it; see the setting of that name, of which `auto` leaves it open. */
  readonly dtype?: string;
}

/** manifest.json: what a run was made of, by whom, and the hashes of what came out. */
export interface Manifest {
  dualign: string;
  /** Runtime and version, such as "deno 2.9.6". */
  host: string;
  /** Settings of the command that last ran a stage. */
  config: unknown;
  /** Adapter that the engine ran on; absent until a stage needed one. */
  device?: RunDevice;
  stages: Record<string, StageRecord>;
  /** sha-256 of λ*, pairs and adapter. */
  results: Record<string, string>;
}

/** A step of a run: its settings, its files, and the work that makes them. */
export interface Stage {
  readonly name: string;
  readonly settings: StageSettings;
  readonly outputs: readonly string[];
  /** Files of a stage under way, removed when it starts anew. */
  readonly partials?: readonly string[];
  /** A view of other stages' files, quickly made: made again where its settings changed. */
  readonly view?: boolean;
  work(): Promise<void>;
}

const MANIFEST = 'manifest.json';

/**
 * A run folder: named artefacts, and a manifest that says what each stage was made from. A finished stage is not run
 * again; one whose settings changed is refused unless `redo`, so that no result is lost by a slip.
 */
export class Run {
  readonly folder: WritableFolder;
  readonly manifest: Manifest;
  /** The run that this is a part of; itself where it is whole. */
  readonly whole: Run;
  #name: string;
  #path: string;
  #config: unknown;
  #redo: boolean;
  #precedent: Manifest | undefined;
  #watcher: ((stage: string, record: StageRecord) => void) | undefined;

  private constructor(
    folder: WritableFolder,
    manifest: Manifest,
    part?: { readonly whole: Run; readonly name: string; readonly path: string },
  ) {
    this.folder = folder;
    this.manifest = manifest;
    this.whole = part?.whole ?? this;
    this.#name = part?.name ?? '';
    this.#path = part?.path ?? '';
    this.#config = manifest.config;
    this.#redo = false;
  }

  /** Opens a finished run to look at: its manifest is as it was written, and nothing is to be run in it. */
  static async view(folder: WritableFolder): Promise<Run> {
    return new Run(folder, await readManifest(folder));
  }

  /** Opens the run in a folder, which may be empty or absent; `host` makes what comes. */
  static async open(folder: WritableFolder, host: string): Promise<Run> {
    const manifest = (await folder.exists(MANIFEST))
      ? await readManifest(folder)
      : { config: {}, stages: {}, results: {} };
    return new Run(folder, { ...manifest, dualign: VERSION, host });
  }

  /**
   * A part of the run with artefacts of its own, in a folder below. The run's manifest records its stages, as
   * "name: stage".
   */
  part(name: string, path: string): Run {
    const inside = { whole: this.whole, name: `${this.#name}${name}: `, path: `${this.#path}${path}/` };
    const part = new Run(subfolder(this.folder, path), this.manifest, inside);
    part.#config = this.#config;
    part.#redo = this.#redo;
    part.#precedent = this.#precedent;
    part.#watcher = this.#watcher;
    return part;
  }

  /** Takes over finished stages of another run, files and records, but for those that this one has. */
  async inherit(from: Run, stages: readonly string[]): Promise<void> {
    for (const name of stages) {
      const record = from.manifest.stages[name];
      if (!record || record.status === 'running' || this.manifest.stages[name]) continue;
      for (const file of Object.keys(record.outputs)) {
        await this.folder.write(file, await from.folder.read(file));
      }
      this.manifest.stages[name] = record;
      await this.saveManifest();
    }
  }

  /** What the manifest calls a stage. */
  stageName(stage: string): string {
    return `${this.#name}${stage}`;
  }

  /** Sets what the coming stages run with; recorded once one of them runs. */
  configure(config: unknown, redo: boolean): void {
    this.#config = config;
    this.#redo = redo;
  }

  /** What was chosen for another run is chosen again: `earlier` gives its records where this one has none. */
  follow(manifest: Manifest): void {
    this.#precedent = manifest;
  }

  /** What a stage was made from before, here or in the run that this one follows; nothing where it is to be redone. */
  earlier(stage: string): StageSettings | undefined {
    if (this.#redo) return undefined;
    const name = this.stageName(stage);
    return (this.manifest.stages[name] ?? this.#precedent?.stages[name])?.settings;
  }

  /** Calls `watcher` with each stage that is done, kept or given, before the next one starts. */
  watch(watcher: (stage: string, record: StageRecord) => void): void {
    this.#watcher = watcher;
  }

  async saveManifest(): Promise<void> {
    await this.whole.folder.write(MANIFEST, `${JSON.stringify(this.manifest, null, 2)}\n`);
  }

  /** True when the file stands in the folder without a stage having made it. */
  async isGiven(stage: string, file: string): Promise<boolean> {
    const record = this.manifest.stages[this.stageName(stage)];
    return record ? record.status === 'given' : await this.folder.exists(file);
  }

  /** sha-256 of a file in the run folder. */
  async hash(file: string): Promise<string> {
    return await sha256(await this.folder.read(file));
  }

  /** Runs a stage unless its outputs are there; says which. */
  async stage(stage: Stage): Promise<'ran' | 'kept' | 'given'> {
    const name = this.stageName(stage.name);
    const record = this.manifest.stages[name];
    const present = await this.hasAll(stage.outputs);
    if (present && (!record || record.status === 'given')) {
      await this.#record(stage, 'given', {});
      return 'given';
    }
    if (record && JSON.stringify(record.settings) !== JSON.stringify(stage.settings)) {
      if (!this.#redo && !stage.view) throw this.#changed(stage, record);
      await this.#clear(stage);
    } else if (record?.status === 'done' && present) {
      await this.#record(stage, 'done', stage.settings);
      return 'kept';
    } else if (!record) {
      await this.#clear(stage);
    }
    this.manifest.config = this.#config;
    this.manifest.stages[name] = { status: 'running', settings: stage.settings, outputs: {} };
    await this.saveManifest();
    await stage.work();
    await this.#record(stage, 'done', stage.settings);
    return 'ran';
  }

  /** Whether a stage's files are in the folder and not to be made anew. */
  async isFinished(outputs: readonly string[]): Promise<boolean> {
    return !this.#redo && (await this.hasAll(outputs));
  }

  /** Whether all these files are in the folder. */
  async hasAll(files: readonly string[]): Promise<boolean> {
    for (const file of files) if (!(await this.folder.exists(file))) return false;
    return true;
  }

  async #clear(stage: Stage): Promise<void> {
    for (const file of [...stage.outputs, ...(stage.partials ?? [])]) await this.folder.remove(file);
  }

  async #record(stage: Stage, status: StageRecord['status'], settings: StageSettings): Promise<void> {
    const outputs: Record<string, string> = {};
    for (const file of stage.outputs) outputs[`${this.#path}${file}`] = await this.hash(file);
    const record: StageRecord = { status, settings, outputs };
    const name = this.stageName(stage.name);
    this.manifest.stages[name] = record;
    await this.saveManifest();
    this.#watcher?.(name, record);
  }

  #changed(stage: Stage, record: StageRecord): UserError {
    const names = new Set([...Object.keys(record.settings), ...Object.keys(stage.settings)]);
    const changes = [...names]
      .filter((name) => JSON.stringify(record.settings[name]) !== JSON.stringify(stage.settings[name]))
      .map((name) => `${name} was ${short(record.settings[name])}, now ${short(stage.settings[name])}`);
    return new UserError(
      `${this.whole.folder.name}: its ${this.stageName(stage.name)} stage was made with other settings (${changes.join('; ')})`,
      2,
      [
        'give the same settings to go on',
        'give another --out for a new run',
        'say --redo to replace this stage and those after it',
      ],
    );
  }
}

async function readManifest(folder: WritableFolder): Promise<Manifest> {
  const text = await folder.readText(MANIFEST);
  try {
    return JSON.parse(text) as Manifest;
  } catch {
    throw new UserError(`${folder.name}/${MANIFEST}: not JSON; remove it to start the run anew`);
  }
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'absent';
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
