/** What a training leaves: an adapter, or a whole model. */
import { subfolder } from '../data/folder.ts';
import type { Run, StageSettings } from '../data/run.ts';
import { UserError } from '../errors.ts';
import type { LlamaConfig } from '../model/config.ts';
import type { LoraConfig } from '../model/lora.ts';
import { saveAdapter } from '../model/peft.ts';
import { addAdapter, type Policy } from '../model/policy.ts';
import { savedFiles, saveModel } from '../model/save.ts';
import { ADAPTER, ADAPTER_FILES, MODEL } from './artefacts.ts';
import { need, type RunConfig } from './config.ts';
import type { Context, ModelContext } from './context.ts';
import { loraSettings } from './train_settings.ts';

export interface Product<P extends Policy = Policy> {
  /** The adapter that is trained; without one, all weights are. */
  readonly lora: LoraConfig | undefined;
  /** Its part of what a training depends on. */
  readonly settings: StageSettings;
  /** In the run folder. */
  readonly outputs: readonly string[];
  /** Readies a model that has just been loaded. */
  begin(model: P): Promise<void>;
  save(model: P): Promise<void>;
}

/** How a training is told. */
export function productNote({ lora }: Product): string {
  return lora ? `LoRA r ${lora.r}` : 'all weights';
}

/** An adapter as PEFT reads it, in adapter/; `file` says where in the run folder. */
export function adapterProduct({ run, config }: Context, file: (name: string) => string): Product {
  const lora = loraSettings(config);
  return {
    lora,
    settings: { ...lora },
    outputs: ADAPTER_FILES.map(file),
    begin: async (policy) => void addAdapter(policy, lora, config.seed),
    save: async ({ adapter }) => {
      const { policy } = need(config, 'policy');
      await saveAdapter(adapter!, subfolder(run.folder, file(ADAPTER)), policy);
    },
  };
}

/** An adapter that goes on from that of another part of the run. */
export async function continuedProduct(context: Context, from: Run): Promise<Product> {
  const fresh = adapterProduct(context, (file) => file);
  return {
    ...fresh,
    settings: { ...fresh.settings, from: await from.hash(ADAPTER_FILES[1]) },
    begin: (policy) => context.sources.useAdapter(policy, `${from.folder.name}/${ADAPTER}`),
  };
}

/** All weights, as transformers reads them, in model/. */
export function modelProduct({ run, config, sources }: ModelContext, model: LlamaConfig): Product {
  const { policy: path } = need(config, 'policy');
  return {
    lora: undefined,
    settings: wholeSettings(config),
    outputs: savedFiles(model).map((name) => `${MODEL}/${name}`),
    begin: async () => {},
    save: async (policy) => {
      await saveModel(policy, await sources.folder(path), subfolder(run.folder, MODEL));
    },
  };
}

/** The product that a run's settings ask for. */
export function productOf(context: ModelContext, model: LlamaConfig): Product {
  return context.config.full ? modelProduct(context, model) : adapterProduct(context, (name) => name);
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
