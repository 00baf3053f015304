/** What a training leaves: an adapter, or a whole model. */
import { subfolder, type WritableFolder } from '../data/folder.ts';
import type { StageSettings } from '../data/run.ts';
import { UserError } from '../errors.ts';
import { checkLora, type LoraConfig } from '../model/lora.ts';
import { saveAdapter } from '../model/peft.ts';
import { addAdapter, type Policy } from '../model/policy.ts';
import { saveModel } from '../model/save.ts';
import { adapterTrainable, type Trainable, weightsTrainable } from '../train/trainable.ts';
import { ADAPTER, ADAPTER_FILES, MODEL } from './artefacts.ts';
import { need, type RunConfig } from './config.ts';
import type { Context } from './context.ts';
import { adapterSettings } from './train_settings.ts';
import { loadTrained, trainedFiles, trainedHash } from './trained.ts';

export interface Product<P extends Policy = Policy> {
  /** The adapter that is trained; without one, all weights are. */
  readonly lora: LoraConfig | undefined;
  /** Its part of what a training depends on. */
  readonly settings: StageSettings;
  /** In the run folder. */
  readonly outputs: readonly string[];
  /** The model, ready to be trained. */
  load(): Promise<P>;
  trainable(model: P): Trainable;
  save(model: P): Promise<void>;
  /** Lets go of a model whose own weights were trained: it is no longer what its source says. */
  release(): Promise<void>;
}

/** How a training is told. */
export function productNote({ lora }: Pick<Product, 'lora'>): string {
  return lora ? `LoRA r ${lora.r}` : 'all weights';
}

/**
 * What a run's settings ask for, in a folder of the run, which may be '': adapter/ or model/. `from` is where the policy
 * lies that is trained on; a new adapter, or the run's policy, if left out.
 */
export async function productOf(context: Context, folder = '', from?: WritableFolder): Promise<Product> {
  return context.config.full
    ? await modelProduct(context, folder, from)
    : await adapterProduct(context, folder, from);
}

/** An adapter as PEFT reads it, whatever the settings say. */
export async function adapterProduct(context: Context, folder = '', from?: WritableFolder): Promise<Product> {
  const { run, config, sources } = context;
  const { policy: path } = need(config, 'policy');
  const lora = adapterSettings(config);
  checkLora((await sources.outline(path)).config, lora);
  return {
    lora,
    settings: { ...lora, ...(await fromSettings(context, from)) },
    outputs: ADAPTER_FILES.map((file) => inFolder(folder, file)),
    load: async () => {
      if (from) return await loadTrained(context, from);
      const policy = await sources.policy(path).load();
      addAdapter(policy, lora, config.seed);
      return policy;
    },
    trainable: ({ adapter }) => adapterTrainable(adapter!),
    save: async ({ adapter }) =>
      await saveAdapter(adapter!, subfolder(run.folder, inFolder(folder, ADAPTER)), path),
    release: async () => {},
  };
}

/** All weights, as transformers reads them. */
async function modelProduct(context: Context, folder: string, from?: WritableFolder): Promise<Product> {
  const { run, config, sources } = context;
  const { policy: path } = need(config, 'policy');
  const source = sources.policy(from ? `${from.name}/${MODEL}` : path);
  return {
    lora: undefined,
    settings: { ...wholeSettings(config), ...(await fromSettings(context, from)) },
    outputs: (await trainedFiles(context)).map((file) => inFolder(folder, file)),
    load: async () => {
      // Anew: it may have an adapter by now, and there need not be room for two.
      await sources.policy(path).unload();
      return await source.load();
    },
    trainable: weightsTrainable,
    save: async (policy) =>
      await saveModel(policy, await sources.folder(path), subfolder(run.folder, inFolder(folder, MODEL))),
    release: () => source.unload(),
  };
}

async function fromSettings(context: Context, from: WritableFolder | undefined): Promise<StageSettings> {
  return from ? { from: await trainedHash(context, from) } : {};
}

function inFolder(folder: string, file: string): string {
  return folder === '' ? file : `${folder}/${file}`;
}

export function wholeSettings({ from_scratch }: RunConfig): StageSettings {
  return { full: true, ...(from_scratch ? { from_scratch } : {}) };
}

/** Throws where weights that are to be saved would not be held as they are computed. */
export function checkWhole({ dtype, full, from_scratch }: RunConfig, command: string, whole = full): void {
  if (from_scratch && !full) {
    throw new UserError(
      `${command}: --from-scratch draws weights that are all to be trained; give --full with it`,
    );
  }
  if (whole && dtype !== 'auto' && dtype !== 'float32') {
    throw new UserError(
      `${command}: expected --dtype auto or float32, to save the trained weights, got ${dtype}`,
    );
  }
}
