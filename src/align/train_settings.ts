/** The settings of trainings, as a run's configuration holds them. */
import type { LoraConfig } from '../model/lora.ts';
import type { RunConfig } from './config.ts';

/** The adapter that a run trains; none where it trains all weights. */
export function loraSettings(config: RunConfig): LoraConfig | undefined {
  return config.full ? undefined : adapterSettings(config);
}

/** An adapter of these settings. */
export function adapterSettings(config: RunConfig): LoraConfig {
  return {
    r: config.lora_r,
    lora_alpha: config.lora_alpha,
    target_modules: config.lora_target_modules,
    use_rslora: config.use_rslora,
    lora_dropout: config.lora_dropout,
  };
}

/** The settings of training that a run's configuration holds under the names that they have there. */
export function trainSettings(config: RunConfig) {
  const { lr_scheduler_kwargs, max_steps } = config;
  return {
    seed: config.seed,
    learning_rate: config.learning_rate,
    lr_scheduler_type: config.lr_scheduler_type,
    ...(lr_scheduler_kwargs === undefined ? {} : { lr_scheduler_kwargs }),
    warmup_steps: config.warmup_steps,
    warmup_ratio: config.warmup_ratio,
    num_train_epochs: config.num_train_epochs,
    ...(max_steps === undefined ? {} : { max_steps }),
    gradient_accumulation_steps: config.gradient_accumulation_steps,
    gradient_checkpointing: config.gradient_checkpointing,
    group_by_length: config.group_by_length,
    adam_beta1: config.adam_beta1,
    adam_beta2: config.adam_beta2,
    adam_epsilon: config.adam_epsilon,
    weight_decay: config.weight_decay,
    max_grad_norm: config.max_grad_norm,
    save_steps: config.save_steps,
  };
}

/** What is done with examples that are held out. */
export function evaluationSettings({ eval_steps, early_stopping_patience }: RunConfig) {
  return { eval_steps, early_stopping_patience };
}
