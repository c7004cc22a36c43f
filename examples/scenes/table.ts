import { type SeedResult, STARTS } from './experiment.js';

/** The table of all seeds: means with their standard errors, and the gaps to the model from scratch, seed by seed. */
export function tableOf(results: readonly SeedResult[]): string[] {
  const scratch = results.map(({ miou }) => miou['from scratch']);
  const rows = STARTS.map((start) => {
    const values = results.map(({ miou }) => miou[start]);
    const gaps = values.map((value, i) => value - scratch[i]);
    return [start, ...values.map(fixed), withError(values), start === 'from scratch' ? '' : withError(gaps)];
  });
  const gaps = results.map(({ miou }) => miou['incubated backbone'] - miou['end-to-end backbone']);
  const background = results.map((result) => result.background);
  return [
    ...aligned([
      ['mIoU, %', ...results.map(({ seed }) => `seed ${seed}`), 'mean', 'gap to scratch'],
      ['all background', ...background.map(fixed), withError(background), ''],
      ...rows,
    ]),
    '',
    `Incubated minus end-to-end backbone, seed by seed: ${gaps.map(signed).join(', ')}; mean ${withError(gaps)} points.`,
    `Accuracy of the backbones on Fashion-MNIST: incubated ${withError(results.map(({ backbones }) => backbones.incubated))} %, end to end ${withError(results.map(({ backbones }) => backbones.end_to_end))} %.`,
    `Means of ${results.length} seeds with their standard errors.`,
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
