import { native } from './native.js';

/** Number of calls of an operator and their total time, including the operators that it calls. */
interface OperatorTime {
  readonly count: number;
  readonly milliseconds: number;
}

/**
 * Runs `work` and returns the libtorch operators that ran in it, including nested calls and the backward pass, slowest
 * first. On a GPU the times are those of the launches.
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
