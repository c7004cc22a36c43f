import type { StagedModel } from '../models/staged.js';
import type { Module } from '../nn/module.js';
import type { PhasePlan } from '../plan/plan.js';
import type { Phase } from '../recipe/phase.js';
import type { ProcessGroup } from '../training/distributed/process-group.js';
import { shardedOptimizer } from '../training/distributed/sharded-optimizer.js';
import { frozenBy, nothingLeft } from '../training/freeze.js';
import { adamw } from '../training/optimizers/adamw.js';
import { lamb } from '../training/optimizers/lamb.js';
import { layerDecayGroups } from '../training/optimizers/layer-decay.js';
import { lion } from '../training/optimizers/lion.js';
import { muonOfShare, requireHiddenMatrices } from '../training/optimizers/muon.js';
import { decayGroups, type Optimizer, type ParameterGroup } from '../training/optimizers/optimizer.js';
import { sgd } from '../training/optimizers/sgd.js';
import {
  blendedCosine,
  epochCosine,
  multiStep,
  polynomial,
  type Schedule,
  stepCosine,
  wsd,
} from '../training/schedule.js';

// Converts a phase's settings to the parts that the trainer uses.

/**
 * Freezes the parameters that match the patterns in `freeze`.
 * @throws InputError naming a pattern that matches nothing, or patterns that leave nothing to train
 */
export function freeze({ settings }: Phase, model: StagedModel): void {
  const parameters = [...model.namedParameters()];
  const frozen = frozenBy(
    settings.freeze,
    parameters.map(([name]) => name),
  );
  for (const [name, parameter] of parameters) if (frozen.has(name)) parameter.requiresGrad = false;
  if (settings.freeze.length > 0 && [...model.trainedParameters()].length === 0)
    throw nothingLeft(settings.freeze);
}

/**
 * @param phase with the precision in which it trains
 * @param auxiliary heads of local losses
 * @param group the processes that train the phase together, if there are several
 * @throws InputError if the optimiser is muon and the phase trains no matrix of a block
 */
export function optimizerOf(
  phase: Phase,
  { model, auxiliary }: { readonly model: StagedModel; readonly auxiliary?: Module | undefined },
  group?: ProcessGroup,
): Optimizer {
  const { name, weight_decay, sharded } = phase.settings.optimizer;
  const groups = groupsOf(phase, model, auxiliary, weight_decay);
  if (name === 'muon') requireHiddenMatrices(groups, phase.name);
  const make = (some: readonly ParameterGroup[]) => plainOptimizer(phase, some);
  return sharded && group !== undefined ? shardedOptimizer(groups, make, group) : make(groups);
}

function plainOptimizer({ settings }: Phase, groups: readonly ParameterGroup[]): Optimizer {
  const { name, betas, eps, momentum, nesterov } = settings.optimizer;
  switch (name) {
    case 'adamw':
      return adamw(groups, { betas, eps });
    case 'sgd':
      return sgd(groups, { momentum, nesterov });
    case 'lamb':
      return lamb(groups, { betas, eps });
    case 'lion':
      return lion(groups, { betas });
    case 'muon':
      return muonOfShare(groups, { betas, eps, momentum, nesterov, ...muonOptions(settings) });
  }
}

/** The Newton-Schulz steps have the precision of the phase's matrix products. */
function muonOptions({ precision, optimizer }: Phase['settings']) {
  const { adjust_lr, matrix_lr_scale } = optimizer;
  return {
    adjustLr: adjust_lr ?? undefined,
    matrixLrScale: matrix_lr_scale ?? 1,
    precision: precision === 'bfloat16' ? 'bfloat16' : 'float32',
  } as const;
}

function groupsOf(
  phase: Phase,
  model: StagedModel,
  auxiliary: Module | undefined,
  weightDecay: number,
): ParameterGroup[] {
  const { layer_decay: decay, backbone_lr_scale: backbone, decay_all: all } = phase.settings.optimizer;
  const parameters = [...model.trainedParameters(), ...(auxiliary?.namedParameters() ?? [])];
  const groups = all ? [{ weightDecay, parameters }] : decayGroups(parameters, weightDecay, phase.undecayed);
  if (decay === null && backbone === null) return groups;
  const names = [...model.namedParameters()].map(([name]) => name);
  return layerDecayGroups(groups, names, decay ?? 1, { backbone: backbone ?? 1 });
}

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
    case 'blended-cosine':
      return blendedCosine({ lr, warmupLr, minLr, epochs, warmupEpochs: warmup, stepsPerEpoch });
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
