import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { Axis, ChartMetric, RunState } from '../../src/dashboard/protocol';
import type { Metric } from '../../src/run/metric';
import type { Curve, Range } from '../curves';
import { inOwnFrame } from '../frames';
import { AXIS_WORDS, colourOf, metricValue, runColour, useTheme } from '../look';
import { usePaper } from '../paper';
import { type Cursor, plotOptions, tableOf } from '../plot';
import { Readout } from './readout';

interface ChartProps {
  readonly metric: ChartMetric;
  /** The metric of the task that the chart shows. */
  readonly score?: Metric | undefined;
  readonly title: string;
  readonly note: string;
  readonly isLarge: boolean;
  readonly curves: readonly Curve[];
  readonly version: number;
  readonly axis: Axis;
  readonly logarithmic: boolean;
  readonly range: Range | undefined;
  readonly runs: readonly RunState[];
  readonly comparing: boolean;
  readonly onRange: (range: Range | undefined) => void;
}

export function Chart(props: ChartProps) {
  const {
    metric,
    score,
    title,
    note,
    isLarge,
    curves,
    version,
    axis,
    logarithmic,
    range,
    comparing,
    onRange,
  } = props;
  const theme = useTheme();
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const zoom = useRef(onRange);
  zoom.current = onRange;
  const [cursor, setCursor] = useState<Cursor>();
  const figure = useRef<HTMLElement>(null);
  const isNear = useNear(figure);
  const colour = (curve: Curve) => (comparing ? runColour(curve.run) : colourOf(curve.phase));
  const looks = { metric, axis, curves, colour, logarithmic, range };
  const names = curves.map(({ run, phase }) => `${run} ${phase}`).join();

  useEffect(() => {
    const box = frame.current;
    if (box === null || curves.length === 0) return;
    const made = new uPlot(
      plotOptions({
        ...looks,
        size: { width: box.clientWidth, height: isLarge ? 280 : 170 },
        onZoom: (chosen) => zoom.current(chosen),
        onCursor: setCursor,
      }),
      tableOf(curves, logarithmic),
      box,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: box.clientWidth, height: made.height }));
    observer.observe(box);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [names, metric, axis, logarithmic, theme, comparing, range?.[0], range?.[1]]);

  useEffect(() => {
    if (isNear) return inOwnFrame(() => plot.current?.setData(tableOf(curves, logarithmic)));
  }, [version, isNear]);

  usePaper(frame, looks, isLarge);

  const onKey = (event: KeyboardEvent) => {
    const scale = plot.current?.scales.x;
    if (scale?.min === undefined || scale.max === undefined) return;
    const next = moved(event.key, [scale.min ?? 0, scale.max ?? 0]);
    if (next === undefined) return;
    event.preventDefault();
    onRange(next);
  };
  return (
    <figure ref={figure} class={isLarge ? 'chart large' : 'chart'}>
      <figcaption>
        <b>{title}</b> <span>{note}</span>
      </figcaption>
      {curves.length === 0 ? (
        <p class="empty">No data yet.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it handles keys.
        <div class="frame" ref={frame} tabIndex={0} role="img" aria-label={spoken(props)} onKeyDown={onKey}>
          {cursor && (
            <Readout
              {...cursor}
              curves={curves}
              metric={metric}
              score={score}
              axis={axis}
              comparing={comparing}
              colour={colour}
              runs={props.runs}
            />
          )}
        </div>
      )}
    </figure>
  );
}

/** Whether an element is visible or almost visible; other charts are not redrawn. */
function useNear(element: { readonly current: HTMLElement | null }): boolean {
  const [isNear, setNear] = useState(true);
  useEffect(() => {
    if (element.current === null) return;
    const observer = new IntersectionObserver((entries) => setNear(entries.at(-1)?.isIntersecting ?? true), {
      rootMargin: '100px',
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return isNear;
}

function moved(key: string, [from, to]: Range): Range | undefined {
  const span = to - from;
  if (key === '+' || key === '=') return [from + span / 4, to - span / 4];
  if (key === '-' || key === '−') return [Math.max(0, from - span / 2), to + span / 2];
  if (key === 'ArrowLeft') return [Math.max(0, from - span / 4), Math.max(span, to - span / 4)];
  return key === 'ArrowRight' ? [from + span / 4, to + span / 4] : undefined;
}

/** Text for screen readers: the last value of each curve. */
function spoken({ title, axis, curves, metric, score }: ChartProps): string {
  const ends = curves.map(
    ({ phase, y }) =>
      `${phase} ${metricValue(
        metric,
        y.findLast((value) => value !== null),
        score,
      )}`,
  );
  return `${title} against ${AXIS_WORDS[axis].label}. Last values: ${ends.join(', ')}.`;
}
