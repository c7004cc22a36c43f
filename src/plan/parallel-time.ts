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
export interface Share {
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
