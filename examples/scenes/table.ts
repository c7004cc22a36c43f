import { type SeedResult, STARTS, type Start } from './experiment.js';

const NAMES: Readonly<Record<string, string>> = {
  miou: 'mIoU, %',
  ap: 'AP of boxes, %',
  mask_ap: 'AP of masks, %',
};

/** A table for each metric: all seeds, means with their standard errors, and the gaps to the model from scratch, seed by seed. */
export function tableOf(results: readonly SeedResult[]): string[] {
  const of = (way: keyof SeedResult['backbones']) =>
    withError(results.map(({ backbones }) => backbones[way]));
  return [
    ...Object.keys(results[0].scores).flatMap((metric) => [...metricTable(results, metric), '']),
    `Accuracy of the backbones on Fashion-MNIST: incubated ${of('incubated')} %, end to end ${of('end_to_end')} %.`,
    results.length === 1
      ? 'One seed: no standard error.'
      : `Means of ${results.length} seeds with their standard errors.`,
  ];
}

function metricTable(results: readonly SeedResult[], metric: string): string[] {
  const valuesOf = (start: Start) => results.map(({ scores }) => scores[metric][start]);
  const gapsTo = (start: Start, other: Start) => {
    const others = valuesOf(other);
    return valuesOf(start).map((value, i) => value - others[i]);
  };
  const rows = STARTS.map((start) => {
    const values = valuesOf(start);
    const gap = start === 'from scratch' ? '' : withError(gapsTo(start, 'from scratch'));
    return [start, ...values.map(fixed), withError(values), gap];
  });
  const background = results.map((result) => result.background);
  const all =
    metric === 'miou' ? [['all background', ...background.map(fixed), withError(background), '']] : [];
  const gaps = gapsTo('incubated backbone', 'end-to-end backbone');
  return [
    ...aligned([
      [NAMES[metric] ?? metric, ...results.map(({ seed }) => `seed ${seed}`), 'mean', 'gap to scratch'],
      ...all,
      ...rows,
    ]),
    `Incubated minus end-to-end backbone, seed by seed: ${gaps.map(signed).join(', ')}; mean ${withError(gaps)} points.`,
  ];
}

function withError(values: readonly number[]): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length < 2) return fixed(mean);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return `${fixed(mean)} +- ${fixed(Math.sqrt(variance / values.length))}`;
}

const fixed = (value: number) => value.toFixed(1);
const signed = (value: number) => `${value < 0 ? '' : '+'}${fixed(value)}`;

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const cell = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column]);
  return rows.map((row) => row.map(cell).join('  ').trimEnd());
}
