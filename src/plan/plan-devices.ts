import type { Phase, PhaseName } from '../recipe/phase.js';
import type { PhasePlan, RunPlan } from './plan.js';
import { type DeviceSchedule, type Job, type Network, schedule } from './schedule.js';

/** Schedule of a run on a number of devices. */
export interface DevicesPlan {
  readonly devices: number;
  /** The recipe's phases among PT, the modules and FT; null if it has none of them. */
  readonly incubation: DeviceSchedule<PhaseName> | null;
  /** The baseline with data parallelism on the same devices; null if the recipe has no baseline. */
  readonly end_to_end: DeviceSchedule<PhaseName> | null;
}

/** Step times of a phase on one device, in seconds. */
export interface StepTimes {
  /** A whole step. */
  readonly step: number;
  /** The optimiser's part of `step`. */
  readonly update: number;
  /** Extra time of the first step. */
  readonly start: number;
}

/** Step times by phase. */
export type StepSeconds = ReadonlyMap<string, StepTimes>;

const BYTES_PER_GRADIENT = 4;

/**
 * Simulates a run on a number of equal devices (see `schedule`), without evaluation and checkpoints.
 * @param options if `stepSeconds` is null, times are multiply-accumulates of one device, and communication is ignored
 */
export function planDevices(
  phases: readonly Phase[],
  { phases: plans }: RunPlan,
  options: { readonly devices: number; readonly stepSeconds: StepSeconds | null; readonly network: Network },
): DevicesPlan {
  const { devices, stepSeconds } = options;
  const network =
    stepSeconds === null ? { bandwidth: Number.POSITIVE_INFINITY, overlap: 0 } : options.network;
  const jobs = phases.map((phase, i) => jobOf(phase, plans[i], stepSeconds));
  const scheduled = (wanted: readonly Job<PhaseName>[]) =>
    wanted.length === 0 ? null : schedule(wanted, devices, network);
  return {
    devices,
    incubation: scheduled(jobs.filter(({ name }) => name !== 'E2E')),
    end_to_end: scheduled(jobs.filter(({ name }) => name === 'E2E')),
  };
}

function jobOf({ settings }: Phase, plan: PhasePlan, stepSeconds: StepSeconds | null): Job<PhaseName> {
  const times =
    stepSeconds === null
      ? { step: plan.macs / plan.steps, update: 0, start: 0 }
      : stepSeconds.get(plan.phase);
  if (times === undefined) throw new RangeError(`no step time for ${plan.phase}`);
  return {
    name: plan.phase,
    needs: plan.needs,
    steps: plan.steps,
    microBatches: settings.accumulate,
    stepTime: times.step,
    updateTime: times.update,
    startTime: times.start,
    gradientBytes: BYTES_PER_GRADIENT * plan.trained_parameters,
  };
}
