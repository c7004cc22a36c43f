import { useEffect, useRef, useState } from 'preact/hooks';
import {
  type Axis,
  type ChartLayout,
  type ChartMetric,
  EVAL_LOSS_METRIC,
  isStepMetric,
  type Points,
  type RunState,
  type Series,
  STEP_METRICS,
} from '../src/dashboard/protocol';
import type { Live } from './live';

export type Range = readonly [from: number, to: number];

/** A curve that grows as points arrive. */
export interface Curve extends Omit<Series, 'x' | 'y' | 'count'> {
  count: number;
  readonly x: number[];
  readonly y: (number | null)[];
}

interface Query {
  readonly runs: readonly number[];
  readonly axis: Axis;
  readonly layout: ChartLayout;
  readonly range: Range | undefined;
}

/** Number of points requested per curve. */
const POINTS = 800;
const PAUSE_MS = 1000;

/**
 * The curves of some runs. New points are appended if none was missed. Otherwise, or if a curve has become long, the curves are
 * fetched again, at most once per second.
 */
export function useCurves(live: Live, query: Query): { curves: readonly Curve[]; version: number } {
  const [version, setVersion] = useState(0);
  const curves = useRef<Curve[]>([]);
  const { runs, axis, layout, range } = query;
  const known = live.runs.map(signature).join(';');
  const metrics = chartMetrics(live.runs);

  useEffect(() => {
    let timer: number | undefined;
    let lastAt = 0;
    let ended = false;
    let asking = false;

    const ask = async () => {
      timer = undefined;
      asking = true;
      try {
        const found = await fetchCurves(query, metrics);
        if (!ended) {
          curves.current = found;
          setVersion((v) => v + 1);
        }
      } catch {
        // When the server is back, the event stream triggers a new request.
      }
      lastAt = performance.now();
      asking = false;
    };
    const askSoon = () => {
      if (timer !== undefined || asking) return;
      timer = window.setTimeout(ask, Math.max(60, lastAt + PAUSE_MS - performance.now()));
    };

    askSoon();
    const end = live.onPoints((points) => {
      const ours = points.filter(({ run }) => runs.includes(run));
      if (ours.length === 0) return;
      const isPlain = range === undefined && layout === 'overlaid';
      const isWhole = isPlain && ours.every((part) => added(curves.current, part, axis));
      if (isWhole) setVersion((v) => v + 1);
      else askSoon();
    });
    return () => {
      ended = true;
      clearTimeout(timer);
      end();
    };
  }, [runs.join(), axis, layout, range?.[0], range?.[1], live.boot, known]);

  return { curves: curves.current, version };
}

/** A key for the state of a run: a change invalidates its curves. */
function signature({ id, phases }: RunState): string {
  return `${id}:${phases.map(({ phase, generation, unread_bytes }) => `${phase}=${generation}${unread_bytes > 0 ? ' unread' : ''}`).join()}`;
}

function chartMetrics(runs: readonly RunState[]): ChartMetric[] {
  const names = runs.map(({ primary }) => primary.name);
  return [...new Set([...STEP_METRICS, ...names, EVAL_LOSS_METRIC])];
}

async function fetchCurves(
  { runs, axis, layout, range }: Query,
  metrics: readonly ChartMetric[],
): Promise<Curve[]> {
  if (runs.length === 0) return [];
  const asked = new URLSearchParams({
    runs: runs.join(),
    axis,
    layout,
    metrics: metrics.join(),
    points: String(POINTS),
    ...(range && { from: String(range[0]), to: String(range[1]) }),
  });
  const response = await fetch(`/api/series?${asked}`);
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}

/**
 * Appends new records to their curves.
 * @returns false if records in between are missing
 */
function added(curves: readonly Curve[], part: Points, axis: Axis): boolean {
  const theirs = curves.filter(
    ({ run, phase, metric }) =>
      run === part.run && phase === part.phase && isStepMetric(metric) === (part.kind === 'step'),
  );
  if (theirs.length === 0) return false;
  return theirs.every((curve) => {
    if (curve.generation !== part.generation) return false;
    if (part.to <= curve.count) return true;
    if (part.from !== curve.count || curve.x.length > 2.5 * POINTS) return false;
    const column = part.columns[curve.metric === EVAL_LOSS_METRIC ? 'loss' : curve.metric];
    part.columns[axis].forEach((x, i) => {
      if (x === null) return;
      curve.x.push(x + curve.offset);
      curve.y.push(column[i]);
    });
    curve.count = part.to;
    return true;
  });
}
