import type { Markish } from '@observablehq/plot';
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
  readonly pixel: (top1: number) => number;
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
  return { domain: [low, high], pixel: (top1) => bottom - ((top1 - low) / (high - low)) * (bottom - top) };
}

interface EndLabelOptions {
  readonly axis: AccuracyAxis;
  readonly theme: Theme;
  readonly wide: boolean;
  /** What the recipe's own way is called. */
  readonly own: string;
}

/** The two results as labels to the right of the frame, pushed apart where they would overlap. */
export function endLabels(
  plot: PlotModule,
  ends: Ends,
  { axis, theme, wide, own }: EndLabelOptions,
): Markish[] {
  const labels = (['own', 'end_to_end'] as const)
    .flatMap((key) => {
      const top1 = ends[key];
      const fill = key === 'own' ? theme.incubation : theme.end_to_end;
      return top1 === undefined ? [] : [{ top1, name: key === 'own' ? own : WAY_NAMES.end_to_end, fill }];
    })
    .sort((a, b) => b.top1 - a.top1);
  const [upper, lower] = labels.map(({ top1 }) => axis.pixel(top1));
  const distance = wide ? DISTANCE.wide : DISTANCE.narrow;
  const apart = labels.length < 2 ? 0 : Math.max(0, (distance - (lower - upper)) / 2);
  return labels.map(({ top1, name, fill }, index) => {
    const value = `${top1.toFixed(1)} %`;
    return plot.text([{ top1 }], {
      y: 'top1',
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
