import type { Axis, ChartMetric, RunState } from '../../src/dashboard/protocol';
import type { Metric } from '../../src/run/metric';
import type { Curve } from '../curves';
import { axisValue, metricValue } from '../look';
import type { Cursor } from '../plot';

interface ReadoutProps extends Cursor {
  readonly curves: readonly Curve[];
  readonly metric: ChartMetric;
  readonly score?: Metric | undefined;
  readonly axis: Axis;
  readonly comparing: boolean;
  readonly colour: (curve: Curve) => string;
  readonly runs: readonly RunState[];
}

const MOST = 9;

/** The values under the cursor. */
export function Readout(props: ReadoutProps) {
  const { left, x, isRight, curves, metric, score, axis, comparing, colour, runs } = props;
  const found = curves
    .map((curve) => ({ curve, value: valueAt(curve, x) }))
    .filter(({ value }) => value !== undefined)
    .slice(0, MOST);
  if (found.length === 0) return null;
  return (
    <div class={`readout${isRight ? ' flip' : ''}`} aria-hidden="true" style={{ left: `${left}px` }}>
      <b>{axisValue(axis, x)}</b>
      {found.map(({ curve, value }) => (
        <span key={`${curve.run} ${curve.phase}`} class={colour(curve)}>
          <i class="swatch" />
          {comparing && `${runs[curve.run]?.name} `}
          {curve.phase}
          <em>{metricValue(metric, value, score)}</em>
        </span>
      ))}
    </div>
  );
}

/** The value of the point closest to x; undefined outside the curve. */
function valueAt({ x: xs, y }: Curve, x: number): number | undefined {
  if (xs.length === 0) return undefined;
  const slack = (xs[xs.length - 1] - xs[0]) * 0.02;
  if (x < xs[0] - slack || x > xs[xs.length - 1] + slack) return undefined;
  let low = 0;
  let high = xs.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  const nearest = low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low;
  return y[nearest] ?? undefined;
}
