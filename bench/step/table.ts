import { median, type Result } from './measure.js';

/** A markdown table: for each case our time, and for each PyTorch variant its time, its ratio to ours and the ratio's range. */
export function resultTable(results: readonly Result[], ours: string, others: readonly string[]): string {
  const head = [
    'size',
    'phase',
    'precision',
    `${ours} ms`,
    ...others.map((name) => `${name} ms`),
    ...others.map((name) => `${name} / ${ours}`),
  ];
  const rows = results.map(({ case: { size, phase, precision }, rounds }) => [
    size,
    phase,
    precision,
    median(rounds[ours]).toFixed(1),
    ...others.map((name) => (rounds[name] ? median(rounds[name]).toFixed(1) : '')),
    ...others.map((name) => (rounds[name] ? ratio(rounds[name], rounds[ours]) : '')),
  ]);
  return table([head, ...rows]);
}

/** Median, minimum and maximum of the ratios per round; all workers run in every round. */
function ratio(theirs: readonly number[], ours: readonly number[]): string {
  const ratios = theirs.map((ms, round) => ms / ours[round]);
  return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)})`;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n');
}
