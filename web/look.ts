import { useEffect, useState } from 'preact/hooks';
import type { Axis, ChartMetric } from '../src/dashboard/protocol';
import { bytes, duration, significant, trimmed, withPrefix } from '../src/report/format';
import { type Metric, scoreText } from '../src/run/metric';

const MODULES = 8;
const RUNS = 6;

/** The CSS class that sets the colour of a phase, `--c`. */
export function colourOf(phase: string): string {
  return phase.startsWith('MT/') ? `c-m${Number(phase.slice(3)) % MODULES}` : `c-${phase}`;
}

/** The CSS class that sets the colour of a run when several are compared. */
export function runColour(run: number): string {
  return `c-r${run % RUNS}`;
}

/** Resolves a colour of the style sheet, for a canvas. */
export function resolved(colourClass: string): string {
  return property(`--${colourClass.slice(2)}`);
}

export function property(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Reads colours as on a white page, independent of the screen's theme. */
export function inTheLight<T>(read: () => T): T {
  document.documentElement.classList.add('light');
  try {
    return read();
  } finally {
    document.documentElement.classList.remove('light');
  }
}

export function titleOf(phase: string): string {
  if (phase === 'PT') return 'Meta model';
  if (phase === 'FT') return 'Assembled model';
  return phase === 'E2E' ? 'End to end' : `Module ${phase.slice(3)}`;
}

/** What a phase starts from: `PT; stage 0 from scratch`. Empty if it is not known. */
export function startText(sources: readonly (string | null)[]): string {
  if (sources.length === 0) return '';
  const names = [...new Set(sources.filter((source) => source !== null))];
  if (names.length === 0) return 'scratch';
  const named = names.length > 2 ? `${names[0]} to ${names[names.length - 1]}` : names.join(', ');
  const fresh = sources.flatMap((source, stage) => (source === null ? [stage] : []));
  return fresh.length === 0 ? named : `${named}; stage ${fresh.join(', ')} from scratch`;
}

export const AXIS_WORDS: Readonly<Record<Axis, { button: string; label: string }>> = {
  step: { button: 'Steps', label: 'steps' },
  seconds: { button: 'Time', label: 'training time' },
  block_passes: { button: 'Cost', label: 'block-passes' },
};

export function axisValue(axis: Axis, value: number): string {
  if (axis === 'seconds') return value === 0 ? '0' : duration(value);
  return axis === 'step' ? Math.round(value).toLocaleString('en-US') : trimmed(withPrefix(value));
}

/** Labels of axis ticks: 1.5 M, 200 k. */
export function axisTick(axis: Axis, value: number): string {
  return axis === 'seconds'
    ? axisValue(axis, value).replace(' 00 s', '').replace(' 00 min', '')
    : trimmed(withPrefix(value));
}

/** @param score the metric of the task, if the curve shows one */
export function metricValue(metric: ChartMetric, value: number | null | undefined, score?: Metric): string {
  if (value === null || value === undefined) return '–';
  if (score !== undefined) return scoreText(score, value);
  if (metric === 'data_wait') return `${(100 * value).toFixed(1)} %`;
  if (metric === 'memory_bytes') return bytes(value);
  if (metric === 'images_per_second') return `${significant(value)}`;
  if (metric === 'lr') return value.toExponential(2);
  return value.toFixed(4);
}

/** Capitalises the first letter, for a column header. */
export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, (100 * part) / whole) : 0;
}

/** The system's theme; updates when it switches between light and dark. */
export function useTheme(): string {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const [theme, setTheme] = useState(dark.matches ? 'dark' : 'light');
  useEffect(() => {
    const listener = () => setTheme(dark.matches ? 'dark' : 'light');
    dark.addEventListener('change', listener);
    return () => dark.removeEventListener('change', listener);
  }, []);
  return theme;
}
