import type { z } from 'zod';
import type { Activity } from '../../run/phase-status.js';
import type { progressMessage } from './process-watch.js';

const EVERY_MS = 1000;

/**
 * For a process that `runProcess` started: reports to the parent that work continues, and the next activity, at most once
 * per second unless the activity changes. Call it before an evaluation, before a checkpoint is written, and when everything
 * that belongs to a step is done (`training`: the next step begins). Does nothing if no process listens.
 */
export function createProgressSender(
  send: (message: z.infer<typeof progressMessage>) => void = sendToParent,
  now: () => number = () => performance.now(),
): (doing: Activity) => void {
  let last: { doing: Activity; at: number } | undefined;
  return (doing) => {
    if (last?.doing === doing && now() - last.at < EVERY_MS) return;
    last = { doing, at: now() };
    send({ type: 'progress', doing });
  };
}

function sendToParent(message: object): void {
  // A failure means that the parent is gone, which `endWithParent` handles.
  process.send?.(message, undefined, undefined, () => {});
}
