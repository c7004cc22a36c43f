import type { PhaseResult } from '../checkpoint/records.js';
import { duration, significant, withPrefix } from './format.js';
import { narrowed, widthsOf } from './narrow-table.js';
import type { Outcome, RunSummary } from './summary.js';

/** What was measured, in one sentence, whichever way it went. */
export function sentence({ incubation, end_to_end: baseline, winner, difference_top1 }: RunSummary): string {
  if (incubation === undefined && baseline === undefined) {
    return 'Neither the assembled model nor the end-to-end baseline is finished yet.';
  }
  if (baseline === undefined) {
    return `Deep Incubation ${percent(incubation?.top1)}; no finished end-to-end baseline to compare it with.`;
  }
  if (incubation === undefined) {
    return `End to end ${percent(baseline.top1)}; no finished Deep Incubation to compare it with.`;
  }
  const lead = `${Math.abs(difference_top1 ?? 0).toFixed(2)} points ahead`;
  const cost = ratios(incubation, baseline);
  if (winner === 'tie') {
    return `Deep Incubation and end to end both ${percent(incubation.top1)}; Deep Incubation took ${cost}.`;
  }
  if (winner === 'incubation') {
    return `Deep Incubation ${percent(incubation.top1)} against ${percent(baseline.top1)} end to end (${lead}), at ${cost}.`;
  }
  return `End to end ${percent(baseline.top1)} against ${percent(incubation.top1)} with Deep Incubation (end to end ${lead}); Deep Incubation took ${cost}.`;
}

/** A row per phase, then the totals that are compared. Cells are text, with units. */
export interface SummaryTable {
  readonly head: readonly string[];
  readonly rows: readonly { readonly cells: readonly string[]; readonly total: boolean }[];
}

export function tableOf(summary: RunSummary): SummaryTable {
  const { incubation, end_to_end: baseline } = summary;
  const rows = summary.phases.map((result) => ({ cells: cells(result.phase, result), total: false }));
  if (incubation) rows.push({ cells: cells('Deep Incubation', incubation), total: true });
  if (baseline) rows.push({ cells: cells('End to end', baseline), total: true });
  return { head: ['phase', 'steps', 'block-passes', 'MACs', 'time', 'top-1', 'top-5', 'loss'], rows };
}

/** Columns that a narrow terminal goes without, the first of them first. */
const DISPENSABLE = ['MACs', 'steps', 'top-5', 'loss', 'time'];

/**
 * The table of accuracy against cost and the sentence below it, for a terminal of so many columns: where the table would be
 * wider, it goes without what matters least.
 */
export function table(summary: RunSummary, columns = Number.POSITIVE_INFINITY): string {
  const { head, rows } = tableOf(summary);
  const lines = narrowed([head, ...rows.map((row) => row.cells)], columns, DISPENSABLE);
  const widths = widthsOf(lines);
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  const text = lines.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd(),
  );
  const totals = rows.filter((row) => row.total).length;
  const body = text.slice(1, text.length - totals);
  const foot = totals > 0 ? [rule, ...text.slice(text.length - totals)] : [];
  return [text[0], rule, ...body, ...foot, '', wrapped(sentence(summary), columns), ''].join('\n');
}

/** A sentence in lines of at most `columns` characters, broken between words. */
function wrapped(text: string, columns: number): string {
  if (!Number.isFinite(columns) || columns < 20) return text;
  return text.replace(new RegExp(`(.{1,${columns}})(?: |$)`, 'g'), '$1\n').trimEnd();
}

function cells(name: string, part: Outcome | PhaseResult): string[] {
  return [
    name,
    'steps' in part ? part.steps.toLocaleString('en-US') : '',
    `${significant(part.block_passes / 1e6)} M`,
    withPrefix(part.macs),
    duration(part.seconds),
    percent(part.top1),
    percent(part.top5),
    part.loss.toFixed(3),
  ];
}

function ratios(incubation: Outcome, baseline: Outcome): string {
  const parts = [
    ratio(incubation.block_passes, baseline.block_passes, 'block-passes'),
    ratio(incubation.seconds, baseline.seconds, 'training time'),
  ].filter((part) => part !== undefined);
  return parts.length === 0
    ? 'a cost that was not measured'
    : new Intl.ListFormat('en-GB', { type: 'conjunction' }).format(parts);
}

function ratio(a: number, b: number, of: string): string | undefined {
  return b > 0 ? `${(a / b).toFixed(2)} x the ${of}` : undefined;
}

function percent(value: number | undefined): string {
  return value === undefined ? '?' : `${value.toFixed(2)} %`;
}
