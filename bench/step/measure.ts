import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunError } from '../../src/base/errors.js';
import type { Case } from './cases.js';
import type { Steps, Worker } from './worker.js';

const CHECKED_STEPS = 3;
/** Maximum relative difference of the losses of the first steps. bfloat16 rounds at 2^-9, differently in different kernels. */
const TOLERANCE = { float32: 1e-5, bfloat16: 5e-3 };

export interface Result {
  readonly case: Case;
  /** Losses of each worker's first steps, ours first. */
  readonly losses: Record<string, readonly number[]>;
  /** Median milliseconds of a step in each round, by worker. */
  readonly rounds: Record<string, readonly number[]>;
}

/**
 * Runs the steps of one case with every worker in turn, `rounds` times; the order rotates with the rounds.
 * @throws RunError if the losses differ (not the same work) or an idle worker uses the processor
 */
export async function measure(
  what: Case,
  ours: Worker,
  others: readonly Worker[],
  options: {
    readonly rounds: number;
    readonly stepsARound: number;
    readonly clock: 'ms' | 'cpuMs';
    readonly folder: string;
    readonly undecayed: readonly string[];
  },
): Promise<Result> {
  const workers = [ours, ...others];
  const tensors = join(options.folder, 'case.safetensors');
  await ours.ask({ cmd: 'prepare', case: what, path: tensors });
  const losses: Record<string, readonly number[]> = {};
  for (const worker of workers) {
    // The same groups as in the official code, which loses the list of exempt names if stage 0 is the only trained stage.
    const undecayed = what.target === null ? options.undecayed : [];
    await worker.ask({ cmd: 'load', case: { ...what, tensors, undecayed } });
    losses[worker.name] = (await worker.ask<Steps>({ cmd: 'steps', n: CHECKED_STEPS })).losses;
    checkLosses(what, worker.name, losses[ours.name], losses[worker.name]);
  }
  await checkIdle(workers);

  const rounds: Record<string, number[]> = Object.fromEntries(workers.map(({ name }) => [name, []]));
  for (let round = 0; round < options.rounds; round++) {
    const turn = round % workers.length;
    for (const worker of [...workers.slice(turn), ...workers.slice(0, turn)]) {
      const steps = await worker.ask<Steps>({ cmd: 'steps', n: options.stepsARound });
      rounds[worker.name].push(median(steps[options.clock]));
    }
  }
  return { case: what, losses, rounds };
}

function checkLosses(what: Case, name: string, ours: readonly number[], theirs: readonly number[]): void {
  const apart = Math.max(...ours.map((loss, i) => Math.abs(theirs[i] / loss - 1)));
  if (apart <= TOLERANCE[what.precision]) return;
  const title = `${what.size} ${what.phase} ${what.precision}`;
  throw new RunError(
    `${title}: the losses of ${name}, ${theirs.join(', ')}, are not ours, ${ours.join(', ')}`,
    {
      hint: 'the two do not do the same work: no time is compared',
    },
  );
}

/** Garbage collection may keep a worker busy for a moment; one that spins never becomes idle. */
async function checkIdle(workers: readonly Worker[], attempts = 10): Promise<void> {
  const before = workers.map((worker) => worker.cpuSeconds());
  await sleep(500);
  const used = workers.map((worker, i) => worker.cpuSeconds() - before[i]);
  const busy = used.findIndex((seconds) => seconds > 0.03);
  if (busy < 0) return;
  if (attempts > 1) return checkIdle(workers, attempts - 1);
  throw new RunError(
    `the idle worker ${workers[busy].name} used ${used[busy].toFixed(2)} s of processor in 0.5 s`,
  );
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
