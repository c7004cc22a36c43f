import { type PhaseName, phaseOf } from '../recipe/phases.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import type { Job, Network } from './parallel-time.js';
import type { PhasePlan, RunPlan } from './plan.js';
import { type Schedule, schedule } from './schedule.js';

/** What a run takes on a number of devices. */
export interface DevicesPlan {
  readonly devices: number;
  /** PT, the modules and FT, as far as the recipe has them; null where it has none of them. */
  readonly incubation: Schedule<PhaseName> | null;
  /** The baseline by data parallelism on the same devices; null where the recipe has none. */
  readonly end_to_end: Schedule<PhaseName> | null;
}

/** What a phase's steps take on one device, seconds. */
export interface StepTimes {
  /** A whole step. */
  readonly step: number;
  /** Of it, the optimiser's. */
  readonly update: number;
  /** What the first step takes longer. */
  readonly start: number;
}

/** By phase. */
export type StepSeconds = ReadonlyMap<string, StepTimes>;

const BYTES_PER_GRADIENT = 4;

/**
 * Plans a run on so many equal devices, by simulation (see `schedule`); evaluation and checkpoints are left out.
 * @param stepSeconds null: times are multiply-accumulates of one device, and communication is left out
 */
export function planDevices(
  recipe: Recipe,
  { phases }: RunPlan,
  options: { readonly devices: number; readonly stepSeconds: StepSeconds | null; readonly network: Network },
): DevicesPlan {
  const { devices, stepSeconds } = options;
  const network =
    stepSeconds === null ? { bandwidth: Number.POSITIVE_INFINITY, overlap: 0 } : options.network;
  const jobs = phases.map((plan) => jobOf(recipe, plan, stepSeconds));
  const scheduled = (wanted: readonly Job<PhaseName>[]) =>
    wanted.length === 0 ? null : schedule(wanted, devices, network);
  return {
    devices,
    incubation: scheduled(jobs.filter(({ name }) => name !== 'E2E')),
    end_to_end: scheduled(jobs.filter(({ name }) => name === 'E2E')),
  };
}

function jobOf(recipe: Recipe, plan: PhasePlan, stepSeconds: StepSeconds | null): Job<PhaseName> {
  const times =
    stepSeconds === null
      ? { step: plan.macs / plan.steps, update: 0, start: 0 }
      : stepSeconds.get(plan.phase);
  if (times === undefined) throw new RangeError(`no step time of ${plan.phase}`);
  return {
    name: plan.phase,
    needs: plan.needs,
    steps: plan.steps,
    microBatches: phaseOf(recipe, plan.phase).settings.accumulate,
    stepTime: times.step,
    updateTime: times.update,
    startTime: times.start,
    gradientBytes: BYTES_PER_GRADIENT * plan.trained_parameters,
  };
}
