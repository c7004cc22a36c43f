/**
 * The states of a phase, and of a run, everywhere: in `status.json`, in the terminal, on the page and in reports.
 *
 * waiting: for earlier phases, or for its turn; queued: in the scheduler's queue; restarting: its process died and will start
 * again after a pause; stopped: by a user, or because its supervisor stopped; lost: its process disappeared without recording an
 * end.
 */
export const STATUSES = [
  'waiting',
  'queued',
  'running',
  'restarting',
  'done',
  'failed',
  'stopped',
  'lost',
] as const;

export type Status = (typeof STATUSES)[number];
