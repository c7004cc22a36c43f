import type { z } from 'zod';
import type { Activity } from '../../base/activity.js';
import type { progressMessage } from './process-watch.js';

const EVERY_MS = 1000;

/**
 * For a process that `runProcess` started: tells it that work goes on, and what follows, at most once a second unless
 * that changes. To be called before an evaluation, before a checkpoint is written, and once all that belongs to a step
 * is done (`training`: the next one begins). Does nothing where no process listens.
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
  // Its failure means that the parent is gone, which `endWithParent` sees to.
  process.send?.(message, undefined, undefined, () => {});
}
