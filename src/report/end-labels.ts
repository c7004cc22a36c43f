import type { Markish } from '@observablehq/plot';
import { type Metric, scoreText } from '../run/metric.js';
import type { PlotModule, Theme } from './plot.js';
import { WAY_NAMES } from './way.js';

/** Where both ways of training ended, as a figure's y. */
export interface Ends {
  /** Of the recipe's own way, whichever it is. */
  readonly own?: number;
  readonly end_to_end?: number;
}

/** An axis of accuracies in per cent: its domain, rounded outwards, and the pixel of a value. */
export interface AccuracyAxis {
  readonly domain: readonly [number, number];
  readonly pixel: (value: number) => number;
}

/** Pixels from the middle of a label to that of the next. */
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

/** The label of the axis: the metric's title, or on a narrow figure its label, with the unit. */
export function axisLabel({ title, label, unit }: Metric, wide: boolean): string {
  const name = wide ? `${title.charAt(0).toLowerCase()}${title.slice(1)}` : label;
  return `↑ ${name}${unit === '' ? '' : `, ${unit}`}`;
}

interface EndLabelOptions {
  readonly axis: AccuracyAxis;
  readonly theme: Theme;
  readonly wide: boolean;
  /** What the recipe's own way is called. */
  readonly own: string;
  readonly metric: Metric;
}

/** The two results as labels to the right of the frame, pushed apart where they would overlap. */
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
