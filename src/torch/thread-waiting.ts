import { cpus, loadavg } from 'node:os';

/**
 * How often a thread of libtorch's operators looks for new work before it sleeps. GNU OpenMP's own count is 300,000, which takes
 * milliseconds: on a busy machine, a waiting thread then occupies the core that the other thread needs, and a step takes up to 20
 * times as long. 2,000 spins take tens of microseconds, the gap between two operators. On a machine that is already overloaded, not
 * spinning is two to three times as fast again; on an idle one it costs time. The count changes no result, only how threads wait.
 * Measured by bench/threads.bench.ts; see "Threads sleep after a short spin" in docs/decisions.md.
 */
const SPINS = '2000';

/** Runnable processes per core from which a machine counts as overloaded. Our own training makes it one per core. */
const OVERLOADED = 1.5;

/** Of the whole machine. */
export interface MachineLoad {
  /** Runnable processes, averaged over a minute. */
  readonly load: number;
  readonly cores: number;
}

/**
 * Sets how OpenMP's threads wait, which OpenMP reads when libtorch is loaded. A setting of the user is kept.
 * @param machine by default, this machine now
 */
export function limitSpinning(env: NodeJS.ProcessEnv, machine: MachineLoad = machineLoad()): void {
  if (env.OMP_WAIT_POLICY !== undefined || env.GOMP_SPINCOUNT !== undefined) return;
  env.GOMP_SPINCOUNT = machine.load > OVERLOADED * machine.cores ? '0' : SPINS;
}

function machineLoad(): MachineLoad {
  const [load = 0] = loadavg();
  return { load, cores: Math.max(1, cpus().length) };
}
