import type { Phase, PhaseName } from '../recipe/phase.js';
import type { PhasePlan, RunPlan } from './plan.js';

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

/** A phase as a job to place on devices: its time on one device, and the cost of sharing it. */
export interface Job<Name extends string = string> {
  readonly name: Name;
  /** Jobs that must finish before it starts. */
  readonly needs: readonly Name[];
  readonly steps: number;
  /** Micro-batches per step. They are divided evenly, among at most this many devices. */
  readonly microBatches: number;
  /** Time of a whole step on one device, in seconds or another unit that all jobs share. */
  readonly stepTime: number;
  /** The optimiser's part of `stepTime`, which every device repeats. Default 0. */
  readonly updateTime?: number;
  /** Extra time of the first step, on every device. Default 0. */
  readonly startTime?: number;
  /** Size of the gradients that the devices exchange in a step. */
  readonly gradientBytes: number;
}

/** How devices exchange gradients. */
export interface Network {
  /** Bandwidth of each device's link, in bytes per unit of `stepTime`. Infinity ignores communication. */
  readonly bandwidth: number;
  /** Share of a micro-batch's time that can overlap with the exchange. The backward pass takes two thirds of it. */
  readonly overlap: number;
}

/**
 * Time of a step on `devices` with data parallelism: the time of each device's micro-batches, plus the part of the ring
 * all-reduce of 2 (n - 1) / n x gradient bytes (Patarasuk and Yuan 2009) that does not overlap with the last micro-batch.
 * Every device repeats the optimiser's step; latency is ignored.
 */
export function stepTimeOn(
  { stepTime, updateTime = 0, microBatches, gradientBytes }: Job,
  devices: number,
  network: Network,
): number {
  const shared = stepTime - updateTime;
  const computing = shared / devices + updateTime;
  const exchange = (2 * (devices - 1) * gradientBytes) / devices / network.bandwidth;
  return computing + Math.max(0, exchange - (network.overlap * shared) / microBatches);
}

/** A useful number of devices for a job, and the time of the whole job on them. */
interface Share {
  readonly devices: number;
  readonly time: number;
}

/** Each number of devices that divides a step evenly and is faster than every smaller number, in ascending order from 1. */
export function sharesOf(job: Job, network: Network, atMost: number): Share[] {
  const shares: Share[] = [];
  for (let devices = 1; devices <= Math.min(atMost, job.microBatches); devices++) {
    if (job.microBatches % devices !== 0) continue;
    const time = (job.startTime ?? 0) + job.steps * stepTimeOn(job, devices, network);
    if (shares.length === 0 || time < shares[shares.length - 1].time) shares.push({ devices, time });
  }
  return shares;
}

/** A scheduled job: it runs on devices `from` to `from + devices - 1`, from time `start` to `end`. */
interface Placed<Name extends string = string> {
  readonly name: Name;
  readonly from: number;
  readonly devices: number;
  readonly start: number;
  readonly end: number;
}

/** When and where each job runs. Times are in the unit of the jobs' step times. */
export interface DeviceSchedule<Name extends string = string> {
  readonly devices: number;
  readonly placed: readonly Placed<Name>[];
  /** From the first start to the last end. */
  readonly wall: number;
  /** The longest chain of jobs that depend on each other, with the times of their placement. */
  readonly critical: { readonly names: readonly Name[]; readonly time: number };
  /** Sum over the jobs of devices x time. */
  readonly deviceTime: number;
  /** Share of all devices' time in which they compute, and are neither idle nor exchanging gradients. */
  readonly utilisation: number;
}

/**
 * Places jobs on equal devices. Jobs that are ready at the same time are placed together: at once, each on one device or
 * on several with data parallelism, or in queues, whichever finishes first. The options for n devices include all options
 * for fewer devices, so more devices never take longer.
 */
export function schedule<Name extends string>(
  jobs: readonly Job<Name>[],
  devices: number,
  network: Network,
): DeviceSchedule<Name> {
  const placed: Placed<Name>[] = [];
  const isPlaced = (name: Name) => placed.some((each) => each.name === name);
  // A need that is not among the jobs is already met.
  const names = jobs.map(({ name }) => name);
  let wall = 0;
  while (placed.length < jobs.length) {
    const ready = jobs.filter(
      ({ name, needs }) => !isPlaced(name) && needs.every((need) => isPlaced(need) || !names.includes(need)),
    );
    if (ready.length === 0) throw new RangeError('the jobs depend on each other in a cycle');
    for (const { start, end, ...place } of placeTogether(ready, devices, network)) {
      placed.push({ ...place, start: wall + start, end: wall + end });
    }
    wall = Math.max(...placed.map(({ end }) => end));
  }
  const work = jobs.reduce((sum, job) => sum + job.steps * job.stepTime, 0);
  return {
    devices,
    placed,
    wall,
    critical: criticalPath(jobs, placed),
    deviceTime: placed.reduce((sum, each) => sum + each.devices * (each.end - each.start), 0),
    utilisation: work / (devices * wall),
  };
}

/** The best placement of jobs that do not depend on each other, starting at time 0. */
function placeTogether<Name extends string>(
  jobs: readonly Job<Name>[],
  devices: number,
  network: Network,
): Placed<Name>[] {
  const options = jobs.map((job) => ({ name: job.name, shares: sharesOf(job, network, devices) }));
  const placements = [
    ...(devices >= jobs.length ? [beside(options, devices)] : []),
    ...queues(options, devices),
  ];
  const endOf = (placement: readonly Placed[]) => Math.max(...placement.map(({ end }) => end));
  return placements.reduce((best, each) => (endOf(each) < endOf(best) ? each : best));
}

interface Options<Name extends string> {
  readonly name: Name;
  readonly shares: readonly Share[];
}

/** Runs all jobs at once and gives spare devices to the longest job, again and again. This minimises the longest time. */
function beside<Name extends string>(options: readonly Options<Name>[], devices: number): Placed<Name>[] {
  const chosen = options.map(() => 0);
  const share = (job: number) => options[job].shares[chosen[job]];
  for (let left = devices - options.length; ; ) {
    const longest = chosen.reduce((best, _, job) => (share(job).time > share(best).time ? job : best), 0);
    const next = options[longest].shares[chosen[longest] + 1];
    if (next === undefined || next.devices - share(longest).devices > left) break;
    left -= next.devices - share(longest).devices;
    chosen[longest]++;
  }
  let from = 0;
  return options.map(({ name }, job) => {
    const { devices: count, time } = share(job);
    from += count;
    return { name, from: from - count, devices: count, start: 0, end: time };
  });
}

/** Groups of equal size, each with a queue: the longest remaining job goes to the group that is free first. */
function* queues<Name extends string>(
  options: readonly Options<Name>[],
  devices: number,
): Generator<Placed<Name>[]> {
  const sizes = [...new Set(options.flatMap(({ shares }) => shares.map((share) => share.devices)))];
  for (const size of sizes) {
    const jobs = options
      .map(({ name, shares }) => ({
        name,
        ...(shares.filter((share) => share.devices <= size).at(-1) as Share),
      }))
      .sort((a, b) => b.time - a.time);
    for (let groups = 1; groups <= Math.min(options.length, Math.floor(devices / size)); groups++) {
      const free = Array.from({ length: groups }, () => 0);
      yield jobs.map(({ name, devices: count, time }) => {
        const group = free.indexOf(Math.min(...free));
        const start = free[group];
        free[group] += time;
        return { name, from: group * size, devices: count, start, end: free[group] };
      });
    }
  }
}

function criticalPath<Name extends string>(jobs: readonly Job<Name>[], placed: readonly Placed<Name>[]) {
  const paths = new Map<Name, { names: readonly Name[]; time: number }>();
  // Each job is placed after the jobs that it needs.
  for (const { name, start, end } of placed) {
    const { needs } = jobs.find((job) => job.name === name) as Job<Name>;
    const before = longest(needs.flatMap((need) => paths.get(need) ?? []));
    paths.set(name, { names: [...before.names, name], time: before.time + end - start });
  }
  return longest([...paths.values()]);
}

function longest<Path extends { readonly names: readonly unknown[]; readonly time: number }>(
  paths: readonly Path[],
) {
  const none = { names: [], time: 0 } as { names: Path['names']; time: number };
  return paths.reduce((best, path) => (path.time > best.time ? path : best), none);
}
