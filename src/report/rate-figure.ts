import { type RatePoint, type RateSuggestion, smoothedLosses } from '../training/rate-range.js';
import { drawSvg, LIGHT } from './plot.js';

/** Draws a learning-rate range test as an SVG: the loss of each step, its moving average, and the suggested rate. */
export function rateFigure(
  points: readonly RatePoint[],
  suggestion: RateSuggestion | undefined,
): Promise<string> {
  const finite = points.filter(({ loss }) => Number.isFinite(loss));
  const smoothed = smoothedLosses(finite).map((loss, i) => ({ lr: finite[i].lr, loss }));
  const lowest = Math.min(...smoothed.map(({ loss }) => loss));
  const highest = Math.max(...smoothed.slice(0, Math.ceil(smoothed.length / 2)).map(({ loss }) => loss));
  const top = highest + 0.5 * (highest - lowest || 1);
  const at = { x: 'lr', y: 'loss' } as const;
  const lines = suggestion === undefined ? [] : [suggestion.steepest];
  return drawSvg('Training loss against learning rate', (plot) => ({
    width: 640,
    height: 400,
    marginLeft: 50,
    marginBottom: 44,
    style: { fontSize: '12px', color: LIGHT.ink, background: LIGHT.background },
    x: { type: 'log', label: 'learning rate', labelAnchor: 'center', labelArrow: 'none' },
    y: { label: '↑ training loss', domain: [Math.min(lowest, top), top], clamp: true },
    marks: [
      plot.gridY({ stroke: LIGHT.grid, strokeOpacity: 1 }),
      plot.dot(finite, { ...at, fill: LIGHT.muted, r: 1.5 }),
      plot.line(smoothed, { ...at, stroke: LIGHT.incubation, strokeWidth: 2 }),
      plot.ruleX(lines, { stroke: LIGHT.end_to_end, strokeDasharray: '4 3' }),
      plot.text(lines, {
        x: (lr: number) => lr,
        frameAnchor: 'top',
        dy: -10,
        fill: LIGHT.end_to_end,
        text: (lr: number) => lr.toPrecision(2),
      }),
    ],
  }));
}
