import { drawSvg, type Theme } from './plot.js';
import { readRun } from './run-data.js';

/** What a run reached with its share of the training images. */
export interface DataPoint {
  readonly name: string;
  /** `data.fraction` of the recipe. */
  readonly fraction: number;
  /** Top-1 in per cent; absent where it is not done. */
  readonly incubation?: number;
  readonly end_to_end?: number;
}

/** Reads runs, by their share of the images. Throws `InputError` where one is no run folder. */
export function dataPoints(roots: readonly string[]): DataPoint[] {
  return roots
    .map((root) => {
      const { recipe, summary } = readRun(root);
      const { fraction } = Object(Object(recipe).data);
      return {
        name: summary.name,
        fraction: typeof fraction === 'number' ? fraction : 1,
        ...(summary.incubation && { incubation: summary.incubation.top1 }),
        ...(summary.end_to_end && { end_to_end: summary.end_to_end.top1 }),
      };
    })
    .sort((a, b) => a.fraction - b.fraction);
}

/** Top-1 accuracy against the share of training images, Deep Incubation beside end to end, as an SVG. */
export function dataEfficiencyFigure(points: readonly DataPoint[], theme: Theme): Promise<string> {
  const series = [
    { key: 'incubation', name: 'Deep Incubation', stroke: theme.incubation, symbol: 'circle', dash: '' },
    { key: 'end_to_end', name: 'End to end', stroke: theme.end_to_end, symbol: 'square', dash: '7 4' },
  ] as const;
  return drawSvg('Top-1 accuracy in per cent against the share of training images', (plot) => ({
    ...{ width: 640, height: 400, marginTop: 40, marginRight: 136, marginBottom: 48, marginLeft: 48 },
    style: { fontSize: '12px', color: theme.ink, background: 'transparent' },
    x: { label: 'training images, %', labelAnchor: 'center', labelArrow: 'none', domain: [0, 100] },
    y: { label: '↑ top-1 accuracy, %', nice: true, ticks: 6 },
    marks: [
      plot.gridY({ stroke: theme.grid, strokeOpacity: 1, ticks: 6 }),
      ...series.flatMap(({ key, name, stroke, symbol, dash }) => {
        const drawn = points.flatMap(({ fraction, [key]: top1 }) =>
          top1 === undefined ? [] : [{ x: 100 * fraction, y: top1 }],
        );
        const at = { x: 'x', y: 'y' } as const;
        return [
          plot.line(drawn, { ...at, stroke, strokeWidth: 2.5, ...(dash && { strokeDasharray: dash }) }),
          plot.dot(drawn, { ...at, fill: stroke, symbol, r: 4 }),
          plot.text(drawn.slice(-1), {
            ...{ ...at, text: ({ y }: { y: number }) => `${name}\n${y.toFixed(1)} %`, fill: stroke },
            ...{ dx: 12, textAnchor: 'start', fontWeight: 600, lineHeight: 1.15 },
          }),
        ];
      }),
    ],
  }));
}
