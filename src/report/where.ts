import type { PhaseOverview } from './run-overview.js';

type Placed = Pick<PhaseOverview, 'state' | 'waits_for' | 'job' | 'pid' | 'host'>;

/**
 * The place where a phase is trained, or the phases that it waits for.
 * @param isSupervised whether a `run` process supervises the phases
 */
export function locationOf(
  { state, waits_for: needs, job, pid, host }: Placed,
  isSupervised: boolean,
): string {
  if (state === 'done') return '';
  const slurm = job === null ? [] : [`job ${job}`];
  const process = pid === null || host === null ? [] : [`process ${pid} on ${host}`];
  const waiting = state === 'waiting' || state === 'queued' ? after(needs) : [];
  const isTurn = isSupervised && state === 'waiting' && needs.length === 0;
  return [...slurm, ...process, ...waiting, ...(isTurn ? ['next in line'] : [])].join(', ');
}

function after(needs: readonly string[]): string[] {
  if (needs.length === 0) return [];
  const modules = needs.filter((need) => need.startsWith('MT/'));
  return [`after ${modules.length > 2 ? `${modules.length} modules` : needs.join(', ')}`];
}
