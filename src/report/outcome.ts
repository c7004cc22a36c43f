import { type Metric, type Scored, scoreOf } from '../run/metric.js';
import type { Interval } from './uncertainty.js';

// Keys in `summary.json` and `eval --json` that are derived from the name of a metric.

/** The field with the 95 % interval of a metric; empty if the interval is unknown. */
export function intervalField(
  { name }: Metric,
  interval: Interval | undefined,
): Readonly<Record<string, Interval>> {
  return interval === undefined ? {} : { [`${name}_interval`]: interval };
}

/** The 95 % interval of a metric, if it is known. */
export function intervalIn(outcome: Scored, { name }: Metric): Interval | undefined {
  return outcome[`${name}_interval`] as Interval | undefined;
}

/** The field with the difference of a metric between two models, in its unit. */
export function differenceField({ name }: Metric, difference: number): Readonly<Record<string, number>> {
  return { [`difference_${name}`]: difference };
}

/** The value of that field; 0 if it is missing. */
export function differenceIn(summary: Scored, { name }: Metric): number {
  return scoreOf(summary, { name: `difference_${name}` }) || 0;
}
