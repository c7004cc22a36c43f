import type { Markish } from '@observablehq/plot';
import { type Metric, scoreText } from '../run/metric.js';
import { type AccuracyCurve, type Cost, type LossCurve, type Point, type Role, roleOf } from './curves.js';
import { scaleOf } from './format.js';
import { drawSvg, type PlotModule, type Theme } from './plot.js';
import { baselineName, WAY_NAMES, type Way } from './way.js';

export interface FigureSize {
  readonly width: number;
  readonly height: number;
}

interface AccuracyFigureOptions {
  readonly cost: Cost;
  readonly size: FigureSize;
  readonly theme: Theme;
  readonly metric: Metric;
  /** Determines the label of the FT curve; default Deep Incubation. */
  readonly way?: Way;
}

const WIDE = 600;
const MARGIN = { top: 44, bottom: 48, left: 48 };

/**
 * Draws the primary metric against cost as an SVG. The assembled model's fine-tuning is bold, the meta model and the hybrids
 * before it are thin, and the end-to-end baseline is drawn in the same frame. Returns undefined if there is no evaluation yet.
 */
export async function accuracyFigure(
  curves: readonly AccuracyCurve[],
  { cost, size, theme, metric, way = 'incubation' }: AccuracyFigureOptions,
): Promise<string | undefined> {
  const drawn = curves.filter(({ points }) => points.length > 0);
  if (drawn.length === 0) return undefined;
  const { factor, label } = costAxis(curves, cost);
  const scaled = curves.map((curve) => rescale(curve, factor));
  const wide = size.width >= WIDE;
  const values = drawn.flatMap(({ points }) => points.map(({ y }) => y));
  return drawSvg(`${metric.title} in percent against ${label}`, (plot) => {
    const axis = accuracyAxis(plot, values, [MARGIN.top, size.height - MARGIN.bottom]);
    return {
      ...size,
      marginTop: MARGIN.top,
      marginRight: wide ? 136 : 66,
      marginBottom: MARGIN.bottom,
      marginLeft: MARGIN.left,
      style: { fontSize: '12px', color: theme.ink, background: 'transparent' },
      x: {
        label,
        labelAnchor: 'center',
        labelArrow: 'none',
        domain: [0, Math.max(...scaled.map(({ end }) => end)) || 1],
        ticks: wide ? 8 : 4,
      },
      y: { label: axisLabel(metric, wide), domain: axis.domain, ticks: 6 },
      marks: [
        plot.gridY({ stroke: theme.grid, strokeOpacity: 1, ticks: 6 }),
        ...phaseMarks(plot, scaled, theme, wide),
        ...scaled.flatMap((curve) => curveMarks(plot, curve, theme, wide)),
        ...endLabels(plot, endsOf(scaled), {
          axis,
          theme,
          wide,
          own: WAY_NAMES[way],
          baseline: baselineName(way),
          metric,
        }),
      ],
    };
  });
}

/** Vertical lines at the start of each phase except the baseline and the first one, with the phase names at the top. */
function phaseMarks(
  plot: PlotModule,
  curves: readonly AccuracyCurve[],
  theme: Theme,
  wide: boolean,
): Markish[] {
  const phases = curves.filter(({ role }) => role !== 'end_to_end');
  const modules = phases.filter(({ role }) => role === 'hybrid');
  const span = Math.max(...curves.map(({ end }) => end)) || 1;
  const share = ({ start, end }: AccuracyCurve) => (end - start) / span;
  const least = wide ? 0.05 : 0.13;
  const roomy = modules.every((curve) => share(curve) > least);
  const middle = (first: AccuracyCurve, last = first) => (first.start + last.end) / 2;
  const names = phases
    .filter((curve) => (curve.role === 'hybrid' ? roomy : share(curve) > least / 2))
    .map((curve) => ({
      name: wide && curve.role === 'meta' && share(curve) > 0.14 ? 'PT, meta model' : curve.phase,
      x: middle(curve),
    }));
  if (!roomy) names.push({ name: 'MT', x: middle(modules[0], modules[modules.length - 1]) });
  return [
    plot.ruleX(phases.slice(1), {
      x: 'start',
      stroke: theme.muted,
      strokeOpacity: 0.55,
      strokeDasharray: '2 4',
    }),
    plot.text(names, { x: 'x', text: 'name', frameAnchor: 'top', dy: -14, fill: theme.muted, fontSize: 11 }),
  ];
}

function curveMarks(plot: PlotModule, curve: AccuracyCurve, theme: Theme, wide: boolean): Markish[] {
  const bold = curve.role === 'assembled' || curve.role === 'end_to_end';
  const baseline = curve.role === 'end_to_end';
  const stroke = baseline ? theme.end_to_end : theme.incubation;
  const at = { x: 'x', y: 'y' } as const;
  const dots = curve.points.length <= 40 ? curve.points : curve.points.slice(-1);
  return [
    plot.line(curve.points, {
      ...at,
      stroke,
      strokeWidth: bold ? (baseline ? 2.25 : 3.25) : 1.4,
      strokeOpacity: bold ? 1 : 0.75,
      ...(baseline && { strokeDasharray: '7 4' }),
    }),
    plot.dot(dots, {
      ...at,
      symbol: baseline ? 'square' : 'circle',
      r: (bold ? 3.4 : 2) * (wide ? 1 : 0.7),
      fill: bold ? stroke : theme.background,
      stroke,
      strokeWidth: 1.2,
    }),
  ];
}

/** The final values of FT and E2E. */
function endsOf(curves: readonly AccuracyCurve[]): Ends {
  const last = (role: Role) => curves.find((curve) => curve.role === role)?.points.at(-1)?.y;
  return { own: last('assembled'), end_to_end: last('end_to_end') };
}

function costAxis(curves: readonly AccuracyCurve[], cost: Cost): { factor: number; label: string } {
  const most = Math.max(...curves.map(({ end }) => end));
  if (cost === 'block_passes') {
    const { factor, word } = scaleOf(most);
    return { factor, label: `training cost, ${word} block-passes` };
  }
  const [factor, unit] = most >= 3 * 3600 ? [3600, 'hours'] : most >= 180 ? [60, 'minutes'] : [1, 'seconds'];
  return { factor, label: `train time, ${unit}` };
}

function rescale({ start, end, points, ...curve }: AccuracyCurve, factor: number): AccuracyCurve {
  return {
    ...curve,
    start: start / factor,
    end: end / factor,
    points: points.map(({ x, y }) => ({ x: x / factor, y })),
  };
}

/** The final values of both training methods, in units of the y axis. */
interface Ends {
  /** Result of the recipe's own method: incubation or fine-tuning. */
  readonly own?: number;
  readonly end_to_end?: number;
}

/** An accuracy axis in per cent: its domain, rounded outwards, and a function that converts a value to a pixel. */
interface AccuracyAxis {
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
  /** Label of E2E. Default End to end. */
  readonly baseline?: string;
  readonly metric: Metric;
}

/** Labels of the two results to the right of the frame, moved apart if they would overlap. */
export function endLabels(
  plot: PlotModule,
  ends: Ends,
  { axis, theme, wide, own, baseline = WAY_NAMES.end_to_end, metric }: EndLabelOptions,
): Markish[] {
  const labels = (['own', 'end_to_end'] as const)
    .flatMap((key) => {
      const y = ends[key];
      const fill = key === 'own' ? theme.incubation : theme.end_to_end;
      return y === undefined ? [] : [{ y, name: key === 'own' ? own : baseline, fill }];
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
