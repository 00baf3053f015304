import type { Example } from '../data/examples.ts';
import type { Folder } from '../data/folder.ts';
import type { Prompt } from '../data/messages.ts';
import type { Judgement, Preference } from '../data/preferences.ts';
import type { Run, RunDevice } from '../data/run.ts';
import type { SizedDevice } from '../engine/sizing.ts';
import type { Policy, PolicyOutline } from '../model/policy.ts';
import type { RewardModel } from '../model/reward_model.ts';
import type { Scorer } from '../score/scorer.ts';
import type { RunConfig } from './config.ts';
import type { Progress } from './progress.ts';

/** Something big that a stage may need: its hash is cheap to learn, and it is loaded only on use. */
export interface Source<T> {
  /** sha-256 over its files. */
  hash(): Promise<string>;
  load(): Promise<T>;
}

/** A model, of which there may be room for one alone. */
export interface ModelSource<P extends Policy> extends Source<P> {
  /** Frees the model, if it is loaded; it is loaded anew when it is needed again. */
  unload(): Promise<void>;
}

/** What a run may fill. */
export interface Room {
  readonly device: SizedDevice;
  /** Bytes that the user allows, where that is less than the device has or the device does not say. */
  readonly limit?: number;
  /** Bytes of it that the run's scorers take. */
  readonly taken?: number;
}

/** Where a run's inputs come from; the host layer implements it. */
export interface Sources {
  policy(path: string): ModelSource<Policy>;
  /** The policy without its weights, and what there is room for: known before anything is loaded. */
  outline(path: string): Promise<PolicyOutline>;
  room(): Promise<Room>;
  /** The folder that a model's name stands for. */
  folder(path: string): Promise<Folder>;
  /** Puts the adapter of a PEFT folder on a policy. */
  useAdapter(policy: Policy, path: string): Promise<void>;
  scorer(spec: string): Source<Scorer>;
  /** Bytes that a scorer's weights take on the device of the policies: 0 where it runs elsewhere. */
  scorerBytes(spec: string): Promise<number>;
  prompts(path: string): Promise<readonly Prompt[]>;
  /** Rows of a file of preferences, read for one of its judgements. */
  preferences(path: string, judgement: Judgement): Promise<readonly Preference[]>;
  /** Name of the engine that policies run on: two engines may round differently, and so sample other tokens. */
  engine(): Promise<string>;
  /** The device that policies run on, once one has been loaded. */
  device(): RunDevice | undefined;
}

/** Inputs of trainings on their own, which may leave whole models. */
export interface ModelSources extends Sources {
  /** A reward model to train, from itself or a language model. */
  rewardModel(path: string): ModelSource<RewardModel>;
  /** The same without its weights. */
  outlineReward(path: string): Promise<PolicyOutline>;
  /** Rows of a file to fine-tune on. */
  examples(path: string): Promise<readonly Example[]>;
}

/** What every stage of a run gets. */
export interface Context {
  readonly run: Run;
  readonly config: RunConfig;
  readonly sources: Sources;
  readonly progress: Progress;
}

/** What trainings on their own get. */
export interface ModelContext extends Context {
  readonly sources: ModelSources;
}

/** Name of a scorer as shown to people: the last part of its path, or what a module calls the export. */
export function scorerName(spec: string): string {
  const exported = /\.[cm]?[jt]s#(.+)$/.exec(spec)?.[1];
  if (exported !== undefined) return exported;
  return (
    spec
      .replace(/[/\\]+$/, '')
      .split(/[/\\]/)
      .at(-1) ?? spec
  );
}
