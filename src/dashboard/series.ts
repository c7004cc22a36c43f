import { pickRows } from './columns.js';
import { columnsOf, type PhaseFeed } from './phase-feed.js';
import type { Axis, ChartLayout, ChartMetric, Series } from './protocol.js';
import type { RunFeed } from './run-feed.js';

interface SeriesQuery {
  readonly metrics: readonly ChartMetric[];
  readonly axis: Axis;
  readonly layout: ChartLayout;
  /** In the axis's unit, as displayed. */
  readonly range?: readonly [from: number, to: number];
  /** Maximum number of points in a curve. */
  readonly points: number;
}

/** The curves of all phases of a run, one per phase and metric. */
export function seriesOf(run: RunFeed, query: SeriesQuery): Series[] {
  const offsets = offsetsOf(run.phases, query);
  return run.phases.flatMap((feed, i) =>
    query.metrics.map((metric) => curve(run.id, feed, metric, offsets[i], query)),
  );
}

function curve(
  run: number,
  feed: PhaseFeed,
  metric: ChartMetric,
  offset: number,
  { axis, range, points }: SeriesQuery,
): Series {
  const { x, y } = columnsOf(feed, metric, axis);
  const own = range && ([range[0] - offset, range[1] - offset] as const);
  const rows = pickRows(x, y, { most: points, ...(own && { range: own }) });
  return {
    run,
    phase: feed.phase,
    metric,
    generation: feed.generation,
    count: y.length,
    offset,
    exact: rows.length === 0 || rows.length === (rows.at(-1) as number) - rows[0] + 1,
    x: rows.map((row) => x[row] + offset),
    // JSON has no infinity or NaN; such values become gaps.
    y: rows.map((row) => (Number.isFinite(y[row]) ? y[row] : null)),
  };
}

/** Position where each phase begins on the axis. */
function offsetsOf(phases: readonly PhaseFeed[], { axis, layout }: SeriesQuery): number[] {
  let spent = 0;
  return phases.map(({ phase, steps, evals }) => {
    if (layout === 'overlaid' || phase === 'E2E') return 0;
    const start = spent;
    spent += Math.max(steps.column(axis).at(-1) ?? 0, evals.column(axis).at(-1) ?? 0);
    return start;
  });
}
