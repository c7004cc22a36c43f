import type { StagedModel } from '../models/staged.js';
import { classification } from '../tasks/classification.js';
import { adamw } from '../training/adamw.js';
import { decayGroups, type Optimizer } from '../training/optimizer.js';
import { epochCosine, type Schedule, stepCosine } from '../training/schedule.js';
import type { Task } from '../training/task.js';
import type { Phase } from './phases.js';
import type { PhasePlan } from './plan.js';
import type { Recipe } from './recipe-schema.js';

// What a recipe's settings of a phase mean, as the parts the trainer takes.

export function optimizerOf(phase: Phase, model: StagedModel): Optimizer {
  const { weight_decay, betas, eps } = phase.settings.optimizer;
  return adamw(decayGroups(model.trainedParameters(), weight_decay, phase.undecayed), { betas, eps });
}

/** The peak rate is lr x images of a step / lr_batch, as the official code scales it; the ends are not scaled. */
export function scheduleOf({ settings }: Phase, plan: PhasePlan): Schedule {
  const { lr: given, lr_batch: reference } = settings.optimizer;
  const { kind, warmup, warmup_lr: warmupLr, min_lr: minLr } = settings.schedule;
  const lr = reference === null ? given : (given * settings.batch_size * settings.accumulate) / reference;
  const { epochs, steps, steps_per_epoch: stepsPerEpoch } = plan;
  return kind === 'epoch-cosine'
    ? epochCosine({ lr, warmupLr, minLr, epochs, warmupEpochs: warmup, stepsPerEpoch })
    : stepCosine({ lr, warmupLr, minLr, steps, warmupSteps: Math.round(warmup * stepsPerEpoch) });
}

export function taskOf(recipe: Recipe, phase: Phase, device: string): Task {
  const { model, data } = recipe;
  return classification({
    channels: model.channels,
    classes: model.classes,
    mean: data.mean,
    std: data.std,
    labelSmoothing: phase.settings.label_smoothing,
    device,
  });
}
