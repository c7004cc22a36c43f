import type { FigureSize } from './accuracy-figure.js';
import { type LossCurve, type Point, roleOf } from './curves.js';
import { drawSvg, type Theme } from './plot.js';

/** Draws the losses of one phase against epochs as an SVG: a thin line for training, a thicker line with dots for evaluation. */
export function lossFigure(
  curve: LossCurve,
  {
    size,
    domain,
    theme,
  }: { readonly size: FigureSize; readonly domain: readonly number[]; readonly theme: Theme },
): Promise<string> {
  const stroke = roleOf(curve.phase) === 'end_to_end' ? theme.end_to_end : theme.incubation;
  const at = { x: 'x', y: 'y' } as const;
  return drawSvg(`Training and evaluation loss of ${curve.phase} against epochs`, (plot) => ({
    ...size,
    marginTop: 24,
    marginRight: 12,
    marginBottom: 36,
    marginLeft: 40,
    style: { fontSize: '11px', color: theme.ink, background: 'transparent' },
    x: { label: 'epochs', labelAnchor: 'center', labelArrow: 'none', ticks: 4 },
    y: { label: '↑ loss', domain: [...domain], ticks: 4 },
    marks: [
      plot.gridY({ stroke: theme.grid, strokeOpacity: 1, ticks: 4 }),
      plot.line(curve.train, { ...at, stroke: theme.muted, strokeWidth: 1.2 }),
      plot.line(curve.evaluation, { ...at, stroke, strokeWidth: 2 }),
      plot.dot(curve.evaluation.length <= 40 ? curve.evaluation : [], { ...at, fill: stroke, r: 2.4 }),
    ],
  }));
}

/** A common loss axis for all phases, so that they can be compared visually. */
export function lossDomain(curves: readonly LossCurve[]): [number, number] {
  const losses = curves.flatMap(({ train, evaluation }) =>
    [...train, ...evaluation].map(({ y }: Point) => y),
  );
  const finite = losses.filter(Number.isFinite);
  const [low, high] = finite.reduce(([l, h], y) => [Math.min(l, y), Math.max(h, y)], [Infinity, -Infinity]);
  if (finite.length === 0) return [0, 1];
  const room = 0.05 * (high - low) || 0.5;
  return [Math.max(0, low - room), high + room];
}
