import { native } from './native.js';

/** How often an operator ran, and for how long in all, the operators it calls included. */
export interface OperatorTime {
  readonly count: number;
  readonly milliseconds: number;
}

/**
 * Runs `work` and tells which of libtorch's operators ran in it, called from here or by one another, the backward
 * pass included; those that took longest first. On a GPU the times are those of the launches.
 *
 * @example profile(() => backward(loss)).get('aten::mm')?.count
 * @throws Error inside another `profile`: they do not nest
 */
export function profile(work: () => void): Map<string, OperatorTime> {
  native.beginProfile();
  let operators: ReturnType<typeof native.endProfile> = {};
  try {
    work();
  } finally {
    operators = native.endProfile();
  }
  const entries = Object.entries(operators).map(
    ([name, [count, milliseconds]]) => [name, { count, milliseconds }] as const,
  );
  return new Map(entries.sort(([, a], [, b]) => b.milliseconds - a.milliseconds));
}
