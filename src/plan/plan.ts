import { InputError } from '../base/errors.js';
import { evenShare } from '../data/loader/loader.js';
import { isModule, isTogether, needsOf, type Phase, type PhaseName, type Source } from '../recipe/phase.js';
import {
  type CostRatios,
  type Counted,
  costRatios,
  forwardMacs,
  fullImages,
  type PlannedStage,
  parameterCount,
  sharedPrefixPasses,
  stagesOf,
  stepsForCost,
  totalOf,
  trainedParameterCount,
} from './cost.js';
import { type PhaseMemory, phaseMemory } from './memory.js';
import { auxiliaryCost } from './parts.js';

/** Work and cost of a phase, computed before it starts. */
export interface PhasePlan {
  readonly phase: PhaseName;
  readonly needs: readonly PhaseName[];
  /** Number of blocks in each stage. */
  readonly depths: readonly number[];
  /** For each stage the phase, or the key of the recipe, whose weights it starts from; null: from scratch. */
  readonly starts_from: readonly Source[];
  readonly epochs: number;
  readonly steps: number;
  readonly steps_per_epoch: number;
  /** Number of images in all steps. */
  readonly images: number;
  /** Number of tokens of these images; null if the model does not state it. */
  readonly tokens: number | null;
  /** The stages of `training.curriculum`, in order; absent without one. */
  readonly curriculum?: readonly PlannedStage[];
  readonly parameters: number;
  /** Including those of auxiliary heads, which are no part of the model. */
  readonly trained_parameters: number;
  readonly block_passes: number;
  readonly macs: number;
  /** Multiply-accumulates of one image's forward pass. */
  readonly forward_macs: number;
  /** Weights, gradients and the optimiser's averages in bytes, without activations. */
  readonly model_bytes: number;
  readonly memory: PhaseMemory;
  /** Size of one checkpoint on disk, in bytes. */
  readonly checkpoint_bytes: number;
}

export interface RunPlan {
  readonly name: string;
  readonly train_images: number;
  readonly phases: readonly PhasePlan[];
  /** All phases except E2E. */
  readonly incubation: { readonly block_passes: number; readonly macs: number };
  /** Cost relative to E2E in block-passes; null if the recipe has no E2E or no modules. */
  readonly ratios: CostRatios | null;
  /** For modules that are incubated together on one device; null unless the recipe sets `incubation.together`. */
  readonly together: TogetherPlan | null;
  /** Maximum disk usage of the run: for each phase the newest checkpoints, the best one, and one that is being written. */
  readonly disk_bytes: number;
}

/** Cost and savings if one process trains all modules. */
export interface TogetherPlan {
  /** Savings compared with `incubation`, because the frozen prefix's forward pass runs once for all modules. */
  readonly saved_block_passes: number;
  /** Weights, gradients and optimisers of all modules, and activations of one; null if the model does not state their size. */
  readonly memory_bytes: number | null;
}

/** The best checkpoint, and one that is being written. */
const CHECKPOINTS_BESIDE = 2;

/** Number of training images, for all phases or by phase. */
export type TrainImages = number | ((name: PhaseName) => number);

/** Plans all phases of a run on a data set of `trainImages` images. */
export function planPhases(phases: readonly Phase[], trainImages: TrainImages): RunPlan {
  const imagesOf = typeof trainImages === 'number' ? () => trainImages : trainImages;
  const plans = phases.map((phase) => phasePlan(phase, imagesOf));
  const own = plans.filter(({ phase }) => phase !== 'E2E');
  const incubation = {
    block_passes: own.reduce((sum, plan) => sum + plan.block_passes, 0),
    macs: own.reduce((sum, plan) => sum + plan.macs, 0),
  };
  const disk_bytes = phases.reduce((sum, phase, i) => sum + keptOf(phase) * plans[i].checkpoint_bytes, 0);
  const counted = phases.map((phase, i) => ({ phase, images: fullImages(phase, plans[i].steps) }));
  const last = phases[phases.length - 1];
  const ratios = costRatios(last.blueprint, counted) ?? null;
  const together = phases.some(isTogether) ? togetherPlan(counted, plans) : null;
  return {
    name: last.recipeName,
    train_images: imagesOf(last.name),
    phases: plans,
    incubation,
    ratios,
    together,
    disk_bytes,
  };
}

function togetherPlan(counted: readonly Counted[], plans: readonly PhasePlan[]): TogetherPlan {
  const modules = plans.filter(({ phase }) => isModule({ name: phase }));
  const held = modules.map(({ model_bytes }) => model_bytes);
  const sum = held.reduce((a, b) => a + b, 0);
  // Only one module at a time needs memory in addition to its weights, gradients and optimiser.
  const beside = modules.map(({ memory }, i) => (memory.peak === null ? null : memory.peak - held[i]));
  const most = beside.includes(null) ? null : Math.max(0, ...(beside as number[]));
  return {
    saved_block_passes: sharedPrefixPasses(counted.filter(({ phase }) => isModule(phase))),
    memory_bytes: most === null ? null : sum + most,
  };
}

/** @throws InputError naming the phase, if its images are too many to be counted */
function requireCountable({ name, settings: { epochs } }: Phase, images: number): void {
  if (Number.isSafeInteger(images)) return;
  throw new InputError(`${name}: epochs ${epochs}: it would train ${images} images`, {
    hint: 'choose a smaller number of epochs',
  });
}

/** @param cost block-passes to train for, instead of the phase's epochs */
function planPhase(phase: Phase, trainImages: number, cost?: number): PhasePlan {
  const { settings, depths, regimes, target, blueprint } = phase;
  const perStep = settings.batch_size * settings.accumulate;
  const stepsPerEpoch = Math.max(1, Math.floor(trainImages / settings.batch_size / settings.accumulate));
  const steps =
    cost === undefined ? Math.max(1, Math.round(settings.epochs * stepsPerEpoch)) : stepsForCost(phase, cost);
  const images = steps * perStep;
  requireCountable(phase, images);
  const stages = stagesOf(phase, steps);
  const parameters = parameterCount(blueprint, depths, target);
  const auxiliary = auxiliaryCost(phase);
  const trained =
    auxiliary.parameters +
    trainedParameterCount(blueprint, depths, regimes, { target, freeze: settings.freeze });
  const memory = phaseMemory(phase);
  return {
    phase: phase.name,
    needs: needsOf(phase),
    depths,
    starts_from: phase.sources,
    epochs: steps / stepsPerEpoch,
    steps,
    steps_per_epoch: stepsPerEpoch,
    images,
    tokens: totalOf(stages, 'tokens'),
    ...(settings.curriculum !== null && { curriculum: stages }),
    parameters,
    trained_parameters: trained,
    block_passes: totalOf(stages, 'block_passes') ?? 0,
    // Of the heads: forward pass, weight and activation gradients.
    macs: (totalOf(stages, 'macs') ?? 0) + 3 * images * auxiliary.macs,
    forward_macs: forwardMacs(blueprint, depths, target),
    model_bytes: memory.weights + memory.gradients + memory.optimizer,
    memory,
    checkpoint_bytes: memory.weights + memory.optimizer,
  };
}

function keptOf({ settings }: Phase): number {
  return settings.keep_checkpoints + CHECKPOINTS_BESIDE;
}

/** The plan of one phase. */
export function phasePlan(phase: Phase, trainImages: TrainImages): PhasePlan {
  const imagesOf = typeof trainImages === 'number' ? () => trainImages : trainImages;
  const { name, equalCost, costOf } = phase;
  if (!equalCost) return planPhase(phase, imagesOf(name));
  const cost = costOf.reduce((sum, other) => sum + phasePlan(other, imagesOf).block_passes, 0);
  return planPhase(phase, imagesOf(name), cost);
}

/**
 * Checks that every phase has enough images for a step, and that all processes have an equal share of each step.
 * @throws InputError naming the phase without enough images, or the step that cannot be shared
 */
export function requireEnough(phases: readonly Phase[], imagesOf: (name: PhaseName) => number): void {
  for (const { name, settings, data, run, settingKeys } of phases) {
    const { augment } = data;
    const all = imagesOf(name);
    // Repeated augmentation cuts an epoch to a multiple of 256 images.
    const images = augment !== 'none' && augment.repeats > 1 ? Math.floor(all / 256) * 256 : all;
    evenShare(settings.accumulate, settings.batch_size, run.ranks);
    const perStep = settings.batch_size * settings.accumulate;
    if (images >= perStep) continue;
    throw new InputError(`${name}: a step needs ${perStep} images, but an epoch has only ${images}`, {
      hint: `lower ${settingKeys[settings.total_batch === null ? 'batch_size' : 'total_batch']} to at most ${images}`,
    });
  }
}

/**
 * Plans all phases of a run on a data set of `trainImages` images, as `run` would train it.
 * @throws InputError if there are too few images
 */
export function checkedPlan(phases: readonly Phase[], trainImages: TrainImages): RunPlan {
  requireEnough(phases, typeof trainImages === 'number' ? () => trainImages : trainImages);
  return planPhases(phases, trainImages);
}
