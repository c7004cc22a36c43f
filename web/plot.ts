import uPlot from 'uplot';
import { type Axis, type ChartMetric, isStepMetric } from '../src/dashboard/protocol';
import { trimmed } from '../src/report/format';
import type { Curve, Range } from './curves';
import { AXIS_WORDS, axisTick, metricValue, property, resolved } from './look';

/** The curves as one table with all their x values; gaps within a curve are bridged. */
export function tableOf(curves: readonly Curve[], logarithmic: boolean): uPlot.AlignedData {
  const tables = curves.map(
    ({ x, y }): uPlot.AlignedData => [
      x,
      logarithmic ? y.map((value) => (value !== null && value > 0 ? value : null)) : y,
    ],
  );
  return tables.length === 0 ? [[]] : uPlot.join(tables);
}

export interface Cursor {
  /** Pixels from the plot's left edge. */
  readonly left: number;
  readonly x: number;
  /** Whether there is more space to the left of the cursor. */
  readonly isRight: boolean;
}

export interface PlotOptions {
  readonly metric: ChartMetric;
  readonly axis: Axis;
  readonly curves: readonly Curve[];
  readonly colour: (curve: Curve) => string;
  readonly logarithmic: boolean;
  readonly range: Range | undefined;
  readonly size: { readonly width: number; readonly height: number };
  /** Canvas pixels per design pixel; higher for paper. */
  readonly scale?: number;
  readonly onZoom: (range: Range | undefined) => void;
  readonly onCursor: (cursor: Cursor | undefined) => void;
}

export function plotOptions({
  metric,
  axis,
  curves,
  colour,
  logarithmic,
  range,
  size,
  scale = 1,
  ...events
}: PlotOptions): uPlot.Options {
  const font = `${11 * scale}px system-ui, sans-serif`;
  const axes = { stroke: property('--muted'), font, gap: 5 * scale, ticks: { show: false } };
  const grid = { stroke: property('--grid'), width: scale };
  return {
    width: size.width * scale,
    height: size.height * scale,
    legend: { show: false },
    padding: [10 * scale, 12 * scale, 0, 0],
    cursor: {
      y: false,
      sync: { key: 'curves' },
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
      bind: {
        dblclick: () => () => {
          events.onZoom(undefined);
          return null;
        },
      },
    },
    scales: {
      x: { time: false, ...(range && { range: [range[0], range[1]] as [number, number] }) },
      y: { distr: logarithmic ? 3 : 1 },
    },
    axes: [
      {
        ...axes,
        grid: { show: false },
        label: AXIS_WORDS[axis].label,
        labelFont: font,
        labelSize: 18 * scale,
        labelGap: 0,
        size: 26 * scale,
        space: 70 * scale,
        values: (_, ticks) => ticks.map((x) => axisTick(axis, x)),
      },
      {
        ...axes,
        grid,
        ...(metric === 'memory_bytes' && { incrs: BYTES }),
        size: 52 * scale,
        space: 34 * scale,
        values: (_, ticks) => ticks.map((y) => tick(metric, y)),
      },
    ],
    series: [
      {},
      ...curves.map((curve) => ({
        label: `${curve.run} ${curve.phase}`,
        stroke: resolved(colour(curve)),
        width: scale * (curve.phase === 'FT' || curve.phase === 'E2E' ? 2 : 1.4),
        ...(curve.phase === 'E2E' && { dash: [6 * scale, 4 * scale] }),
        spanGaps: true,
        points: {
          show: ({ data }: uPlot, series: number) => isMarked(metric, data[series]),
          size: 5 * scale,
          fill: resolved(colour(curve)),
        },
      })),
    ],
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          events.onZoom([plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')]);
        },
      ],
      setCursor: [
        (plot) => {
          const { left = -1 } = plot.cursor;
          const isOver = left >= 0 && plot.over.matches(':hover');
          events.onCursor(
            isOver
              ? {
                  left: plot.over.offsetLeft + left,
                  x: plot.posToVal(left, 'x'),
                  isRight: left > plot.over.clientWidth / 2,
                }
              : undefined,
          );
        },
      ],
    },
  };
}

/** Evaluation curves with few points have visible markers, and so does a curve with one value, which has no line. */
function isMarked(metric: ChartMetric, values: uPlot.AlignedData[number]): boolean {
  const count = Array.from(values).filter((value) => typeof value === 'number').length;
  return count === 1 || (count < 40 && !isStepMetric(metric));
}

/** Memory ticks are at powers of two. */
const BYTES = Array.from({ length: 24 }, (_, power) => 2 ** (20 + power));

function tick(metric: ChartMetric, value: number | null): string {
  if (value === null) return '';
  if (metric === 'data_wait') return `${+(100 * value).toFixed(2)}`;
  if (metric === 'memory_bytes') return trimmed(metricValue(metric, value));
  if (metric === 'lr') return value === 0 ? '0' : value.toExponential(0);
  return `${+value.toPrecision(6)}`;
}
