import type { Engine, Tensor } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import type { TrainPass } from '../model/llama.ts';
import type { Adapter } from '../model/lora.ts';
import { namedWeights, zeroWeights } from '../model/parameters.ts';
import type { Policy } from '../model/policy.ts';

/** Parameters that one call of the optimizer updates. */
export interface ParameterGroup {
  readonly name: string;
  readonly parameters: Tensor;
  /** Of the parameters' shape. */
  readonly gradients: Tensor;
  /** Whether weight decay applies: not to norms and biases. */
  readonly decay: boolean;
}

/** What training changes. */
export interface Trainable {
  readonly groups: readonly ParameterGroup[];
  /** What of it lies in the model. */
  readonly pass: Pick<TrainPass, 'adapter' | 'gradients' | 'scoreGradient'>;
  /** What a checkpoint of it depends on. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Frees what it holds besides the model: gradients of its weights. */
  free(): void;
}

/** LoRA: the adapter's factors. */
export function adapterTrainable(adapter: Adapter): Trainable {
  const { parameters, gradients, config } = adapter;
  return {
    groups: [{ name: 'adapter', parameters, gradients, decay: true }],
    pass: { adapter },
    settings: { ...config },
    // Its gradients are the adapter's own.
    free: () => {},
  };
}

/** Full-parameter training: every weight of the model, each a group of its own. */
export function weightsTrainable({ engine, config, weights, name }: Policy): Trainable {
  const all = [...namedWeights(config, weights)];
  const frozen = all.find(({ tensor }) => tensor.dtype !== 'f32');
  if (frozen) {
    throw new UserError(
      `${name}: expected weights held as f32 for training all of them, got ${frozen.tensor.dtype} for ${frozen.key}; ` +
        'load them as f32, or train a LoRA adapter',
    );
  }
  const gradients = zeroWeights(engine, weights);
  const named = [...namedWeights(config, gradients)];
  const gradientOf = new Map(named.map(({ key, tensor }) => [key, tensor]));
  return {
    groups: all.map(({ key, tensor }) => ({
      name: key,
      parameters: tensor,
      gradients: gradientOf.get(key)!,
      decay: tensor.shape.length > 1,
    })),
    pass: { gradients },
    settings: { parameters: 'all' },
    free: () => engine.free(...named.map(({ tensor }) => tensor)),
  };
}

/** Sets the gradients to zero, before a step adds to them. */
export function zeroGradients(engine: Engine, { groups }: Trainable): void {
  for (const { gradients } of groups) engine.zero(gradients);
}
