/** A phase as work to place on devices: what it takes on one, and what sharing it costs. */
export interface Job<Name extends string = string> {
  readonly name: Name;
  /** Jobs that must have ended before it starts. */
  readonly needs: readonly Name[];
  readonly steps: number;
  /** Micro-batches of a step: it is shared evenly, by at most so many devices. */
  readonly microBatches: number;
  /** Of a whole step on one device: seconds, or another unit of which all jobs' are. */
  readonly stepTime: number;
  /** The optimiser's part of `stepTime`, which every device repeats. Default 0. */
  readonly updateTime?: number;
  /** What the first step takes longer, on every device. Default 0. */
  readonly startTime?: number;
  /** What the devices exchange in a step. */
  readonly gradientBytes: number;
}

/** How devices exchange gradients. */
export interface Network {
  /** Of each device's link, bytes in the unit of `stepTime`. Infinity leaves communication out. */
  readonly bandwidth: number;
  /** Share of a micro-batch's time behind which the exchange hides: the backward pass has two thirds of it. */
  readonly overlap: number;
}

/**
 * Time of a step on `devices` by data parallelism: the devices' micro-batches, then what the ring all-reduce of
 * 2 (n - 1) / n x gradient bytes (Patarasuk and Yuan 2009) takes longer than it can hide behind the last of them.
 * Every device repeats the optimiser's step; latency is left out.
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

/** A number of devices that is worth giving to a job, and the time of the whole job on it. */
export interface Share {
  readonly devices: number;
  readonly time: number;
}

/** Each number of devices that shares a step evenly and is faster than every smaller one; rising, from 1. */
export function sharesOf(job: Job, network: Network, atMost: number): Share[] {
  const shares: Share[] = [];
  for (let devices = 1; devices <= Math.min(atMost, job.microBatches); devices++) {
    if (job.microBatches % devices !== 0) continue;
    const time = (job.startTime ?? 0) + job.steps * stepTimeOn(job, devices, network);
    if (shares.length === 0 || time < shares[shares.length - 1].time) shares.push({ devices, time });
  }
  return shares;
}
