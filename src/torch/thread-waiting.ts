/**
 * How often a thread of libtorch's operators looks for new work before it sleeps. GNU OpenMP's own count is 300,000, which is
 * milliseconds: on a machine that others use, a waiting thread then takes the core from the one that it waits for, and a step takes up
 * to 20 times as long. 2,000 is tens of microseconds, the gap between two operators. It changes no number: only how threads wait.
 * Measured by bench/threads.bench.ts; see "Threads sleep after a short spin" in docs/decisions.md.
 */
const SPINS = '2000';

/** What OpenMP reads when libtorch is loaded: what the user has set stays. */
export function limitSpinning(env: NodeJS.ProcessEnv): void {
  if (env.OMP_WAIT_POLICY === undefined && env.GOMP_SPINCOUNT === undefined) env.GOMP_SPINCOUNT = SPINS;
}
