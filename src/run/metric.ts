/** A number that a task reports for an evaluation. */
export interface Metric {
  /** Key in `metrics.jsonl`, `result.json`, manifests and `--json` output: `top1`. */
  readonly name: string;
  /** Name in tables and messages: `top-1`. */
  readonly label: string;
  /** Name in figure titles: `Top-1 accuracy`. */
  readonly title: string;
  /** `%`, or empty for a number without a unit. */
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** Whether the value is the share of correctly classified images. Such a metric has a binomial confidence interval. */
  readonly isShareOfImages: boolean;
}

/** The metrics of a task. */
export interface TaskMetrics {
  /** Decides which checkpoint is the best, when to stop early, and which model wins. */
  readonly primary: Metric;
  /** Recorded metrics, the primary one first. */
  readonly all: readonly Metric[];
  /** Printed and drawn metrics: those that are not trivial for the model. */
  readonly shown: readonly Metric[];
}

/** An object with the values of metrics among its fields, as in the run folder's files. */
export interface Scored {
  readonly [metric: string]: unknown;
}

/**
 * @returns the value of a metric; NaN if it is missing or not a number
 *
 * @example
 * const records = readMetrics('runs/mine/PT/metrics.jsonl');
 * const scores = records.filter(({ kind }) => kind === 'eval').map((record) => scoreOf({ ...record }, { name: 'top1' }));
 * console.log(scores);
 */
export function scoreOf(record: Scored, { name }: Pick<Metric, 'name'>): number {
  const value = record[name];
  return typeof value === 'number' ? value : Number.NaN;
}

/** @returns the values of several metrics, by name */
export function scoresOf(record: Scored, metrics: readonly Metric[]): Readonly<Record<string, number>> {
  return Object.fromEntries(metrics.map((metric) => [metric.name, scoreOf(record, metric)]));
}

/** `12.34 %`; `?` without a value. */
export function scoreText({ unit }: Pick<Metric, 'unit'>, value: number | undefined, digits = 2): string {
  return value === undefined || Number.isNaN(value) ? '?' : `${value.toFixed(digits)} ${unit}`.trimEnd();
}

/** `top-1 12.34 %` */
export function labelledScore(metric: Metric, record: Scored, digits = 2): string {
  return `${metric.label} ${scoreText(metric, scoreOf(record, metric), digits)}`;
}

/** Whether a score is better than another by more than `margin`. */
export function isBetter(
  { better }: Pick<Metric, 'better'>,
  score: number,
  than: number,
  margin = 0,
): boolean {
  return better === 'higher' ? score > than + margin : score < than - margin;
}
