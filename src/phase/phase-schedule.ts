import type { PhasePlan } from '../plan/plan.js';
import type { Phase } from '../recipe/phase.js';
import { epochCosine, multiStep, polynomial, type Schedule, stepCosine, wsd } from '../training/schedule.js';

/** The peak rate is lr x images per step / lr_batch, as in the official code; warmup_lr and min_lr are not scaled. */
export function scheduleOf({ settings }: Phase, plan: PhasePlan): Schedule {
  const { lr: given, lr_batch: reference } = settings.optimizer;
  const { kind, warmup, warmup_lr: warmupLr, min_lr: minLr, power, milestones, factor } = settings.schedule;
  const lr = reference === null ? given : (given * settings.batch_size * settings.accumulate) / reference;
  const { epochs, steps, steps_per_epoch: stepsPerEpoch } = plan;
  const warmupSteps = Math.round(warmup * stepsPerEpoch);
  const rates = { lr, warmupLr, minLr, steps, warmupSteps };
  switch (kind) {
    case 'epoch-cosine':
      return epochCosine({ lr, warmupLr, minLr, epochs, warmupEpochs: warmup, stepsPerEpoch });
    case 'step-cosine':
      return stepCosine(rates);
    case 'polynomial':
      return polynomial({ ...rates, power });
    case 'multi-step':
      return multiStep({ ...rates, milestones, factor, stepsPerEpoch });
    case 'wsd':
      return wsd({ ...rates, decayShare: settings.schedule.decay_share, decay: '1-sqrt' });
  }
}
