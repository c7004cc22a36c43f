import { type Metric, scoreOf } from '../run/metric.js';
import { accuracyAxis, axisLabel, endLabels, type FigureSize } from './curve-figures.js';
import { drawSvg, type Theme } from './plot.js';
import { readRun } from './run-data.js';
import { ownOutcome } from './summary.js';
import { ownNames, type Way } from './way.js';

/** The result of a run with its share of the training images. */
export interface DataPoint {
  /** The run's folder. */
  readonly root: string;
  readonly name: string;
  /** `data.fraction` of the recipe. */
  readonly fraction: number;
  readonly way: Way;
  readonly metric: Metric;
  /** The primary metric of the model that the run is about, fine-tuned or incubated; absent until it is finished. */
  readonly own?: number;
  /** The primary metric of the end-to-end baseline; absent until it is finished. */
  readonly end_to_end?: number;
}

/**
 * Reads runs and sorts them by their share of the images.
 * @throws InputError if a path is not a run folder
 */
export function dataPoints(roots: readonly string[]): DataPoint[] {
  return roots
    .map((root) => {
      const { recipe, way, metrics, summary } = readRun(root);
      const metric = metrics.primary;
      const own = ownOutcome(summary);
      const { fraction } = Object(Object(recipe).data);
      return {
        root,
        name: summary.name,
        fraction: typeof fraction === 'number' ? fraction : 1,
        way,
        metric,
        ...(own && { own: scoreOf(own, metric) }),
        ...(summary.end_to_end && { end_to_end: scoreOf(summary.end_to_end, metric) }),
      };
    })
    .sort((a, b) => a.fraction - b.fraction);
}

const WIDE = 600;
const MARGIN = { top: 40, bottom: 48 };
const SERIES = [
  { key: 'own', symbol: 'circle', dash: '' },
  { key: 'end_to_end', symbol: 'square', dash: '7 4' },
] as const;

/**
 * Draws the primary metric against the share of training images as an SVG, for Deep Incubation and for end-to-end training. A
 * line connects the means of runs with the same share. Returns undefined if fewer than two different shares have finished runs.
 */
export async function dataEfficiencyFigure(
  points: readonly DataPoint[],
  { size, theme }: { readonly size: FigureSize; readonly theme: Theme },
): Promise<string | undefined> {
  const done = points.filter(({ own, end_to_end: baseline }) => (own ?? baseline) !== undefined);
  if (new Set(done.map(({ fraction }) => fraction)).size < 2) return undefined;
  const values = done.flatMap(({ own, end_to_end: baseline }) => [own ?? [], baseline ?? []].flat());
  const wide = size.width >= WIDE;
  const lines = SERIES.map((series) => ({ ...series, points: seriesOf(done, series.key) }));
  const last = (key: DataKey) => lines.find((line) => line.key === key)?.points.means.at(-1)?.y;
  const [{ metric }] = done;
  return drawSvg(`${metric.title} in percent against the share of training images`, (plot) => {
    const axis = accuracyAxis(plot, values, [MARGIN.top, size.height - MARGIN.bottom]);
    const at = { x: 'x', y: 'y' } as const;
    return {
      ...size,
      marginTop: MARGIN.top,
      marginRight: wide ? 136 : 66,
      marginBottom: MARGIN.bottom,
      marginLeft: 48,
      style: { fontSize: '12px', color: theme.ink, background: 'transparent' },
      x: {
        label: 'training images, %',
        labelAnchor: 'center',
        labelArrow: 'none',
        domain: [0, 100],
        ticks: 5,
      },
      y: { label: axisLabel(metric, wide), domain: axis.domain, ticks: 6 },
      marks: [
        plot.gridY({ stroke: theme.grid, strokeOpacity: 1, ticks: 6 }),
        ...lines.flatMap(({ key, symbol, dash, points: { each, means } }) => [
          plot.line(means, {
            ...at,
            stroke: colourOf(theme, key),
            strokeWidth: 2.5,
            ...(dash && { strokeDasharray: dash }),
          }),
          plot.dot(each, { ...at, fill: colourOf(theme, key), symbol, r: 4 }),
        ]),
        ...endLabels(
          plot,
          { own: last('own'), end_to_end: last('end_to_end') },
          { axis, theme, wide, metric, own: ownNames(done).replace(' or ', ' or\n') },
        ),
      ],
    };
  });
}

function colourOf(theme: Theme, key: DataKey): string {
  return key === 'own' ? theme.incubation : theme.end_to_end;
}

type DataKey = (typeof SERIES)[number]['key'];

/** Results of one training method against the percentage of images, and their mean for each share. */
function seriesOf(points: readonly DataPoint[], key: DataKey) {
  const each = points.flatMap(({ fraction, [key]: y }) =>
    y === undefined ? [] : [{ x: 100 * fraction, y }],
  );
  const means = [...new Set(each.map(({ x }) => x))].map((x) => {
    const there = each.filter((point) => point.x === x);
    return { x, y: there.reduce((sum, { y }) => sum + y, 0) / there.length };
  });
  return { each, means };
}
