import type { PhaseCondition } from './phase-condition.js';

/** Where a phase is trained, or what it waits for. */
export function whereOf({ state, waits_for: needs, job, pid, host }: PhaseCondition): string {
  if (state === 'done') return '';
  const slurm = job === null ? [] : [`job ${job}`];
  const process = pid === null || host === null ? [] : [`process ${pid} on ${host}`];
  const waiting = state === 'waiting' || state === 'queued' ? after(needs) : [];
  return [...slurm, ...process, ...waiting].join(', ');
}

function after(needs: readonly string[]): string[] {
  if (needs.length === 0) return [];
  const modules = needs.filter((need) => need.startsWith('MT/'));
  return [`after ${modules.length > 2 ? `${modules.length} modules` : needs.join(', ')}`];
}
