import type { Markish } from '@observablehq/plot';
import { type Metric, scoreText } from '../run/metric.js';
import type { PlotModule, Theme } from './plot.js';
import { WAY_NAMES } from './way.js';

/** The final values of both training methods, in units of the y axis. */
export interface Ends {
  /** Result of the recipe's own method: incubation or fine-tuning. */
  readonly own?: number;
  readonly end_to_end?: number;
}

/** An accuracy axis in per cent: its domain, rounded outwards, and a function that converts a value to a pixel. */
export interface AccuracyAxis {
  readonly domain: readonly [number, number];
  readonly pixel: (value: number) => number;
}

/** Minimum distance between the centres of two labels, in pixels. */
const DISTANCE = { wide: 36, narrow: 17 };

export function accuracyAxis(
  plot: PlotModule,
  values: readonly number[],
  [top, bottom]: readonly [top: number, bottom: number],
): AccuracyAxis {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const extent = least < most ? [least, most] : [least - 1, most + 1];
  const scale = plot.scale({ y: { domain: extent, nice: true } });
  const [low, high] = (scale?.domain ?? extent) as [number, number];
  return { domain: [low, high], pixel: (value) => bottom - ((value - low) / (high - low)) * (bottom - top) };
}

/** The axis label with the unit: the metric's title, or its short label in a narrow figure. */
export function axisLabel({ title, label, unit }: Metric, wide: boolean): string {
  const name = wide ? `${title.charAt(0).toLowerCase()}${title.slice(1)}` : label;
  return `↑ ${name}${unit === '' ? '' : `, ${unit}`}`;
}

interface EndLabelOptions {
  readonly axis: AccuracyAxis;
  readonly theme: Theme;
  readonly wide: boolean;
  /** Label of the recipe's own method. */
  readonly own: string;
  readonly metric: Metric;
}

/** Labels of the two results to the right of the frame, moved apart if they would overlap. */
export function endLabels(
  plot: PlotModule,
  ends: Ends,
  { axis, theme, wide, own, metric }: EndLabelOptions,
): Markish[] {
  const labels = (['own', 'end_to_end'] as const)
    .flatMap((key) => {
      const y = ends[key];
      const fill = key === 'own' ? theme.incubation : theme.end_to_end;
      return y === undefined ? [] : [{ y, name: key === 'own' ? own : WAY_NAMES.end_to_end, fill }];
    })
    .sort((a, b) => b.y - a.y);
  const [upper, lower] = labels.map(({ y }) => axis.pixel(y));
  const distance = wide ? DISTANCE.wide : DISTANCE.narrow;
  const apart = labels.length < 2 ? 0 : Math.max(0, (distance - (lower - upper)) / 2);
  return labels.map(({ y, name, fill }, index) => {
    const value = scoreText(metric, y, 1);
    return plot.text([{ y }], {
      y: 'y',
      frameAnchor: 'right',
      dx: 12,
      dy: index === 0 ? -apart : apart,
      textAnchor: 'start',
      text: () => (wide ? `${name}\n${value}` : value),
      fill,
      fontWeight: 600,
      fontSize: 12.5,
      lineHeight: 1.15,
    });
  });
}
