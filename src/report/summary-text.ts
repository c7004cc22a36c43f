import { type Metric, type Scored, scoreOf, scoreText } from '../run/metric.js';
import type { PhaseResult } from '../run/records.js';
import { curriculumLines } from '../run/records.js';
import { metricsOf } from '../tasks/metrics.js';
import { duration, EVAL_LOSS, narrowed, significant, TRAIN_TIME, widthsOf, withPrefix } from './format.js';
import { type Outcome, ownOutcome, type RunSummary } from './summary.js';
import { differenceIn, intervalIn } from './uncertainty.js';
import { isScratch, type ScratchWay, WAY_NAMES, type Way } from './way.js';

/** The result in one sentence with its uncertainty, whichever model won. */
export function sentence(summary: RunSummary, way: Way = wayIn(summary)): string {
  const { end_to_end: baseline } = summary;
  const own = ownOutcome(summary);
  const { primary } = metricsOf(summary);
  const name = WAY_NAMES[way];
  if (isScratch(way)) {
    return baseline === undefined
      ? `The ${way === 'end_to_end' ? 'end-to-end' : name} training is not finished yet.`
      : `${name} ${accuracyText(baseline, primary)}; the recipe trains no other model to compare with.`;
  }
  if (own === undefined) {
    if (baseline === undefined) {
      const model = MODELS[way];
      return `Neither the ${model} model nor the end-to-end baseline is finished yet.`;
    }
    return `End to end ${accuracyText(baseline, primary)}; no finished ${nameInside(name)} to compare with.`;
  }
  if (baseline === undefined) {
    return `${name} ${accuracyText(own, primary)}; no finished end-to-end baseline to compare with.`;
  }
  return verdict(summary, { name, own, baseline, primary });
}

/** The model that FT trains. */
const MODELS: Record<Exclude<Way, ScratchWay>, string> = {
  incubation: 'assembled',
  growth: 'grown',
  fine_tuning: 'fine-tuned',
};

/** The name within a sentence. */
function nameInside(name: string): string {
  return name === WAY_NAMES.incubation ? name : name.toLowerCase();
}

interface Sides {
  readonly name: string;
  readonly own: Outcome;
  readonly baseline: Outcome;
  readonly primary: Metric;
}

function verdict(summary: RunSummary, { name, own, baseline, primary }: Sides): string {
  const { winner } = summary;
  const difference = differenceIn(summary, primary);
  const [ours, theirs] = [own, baseline].map((each) => scoreText(primary, scoreOf(each, primary)));
  const cost = ratios(own, baseline);
  const certainty = certaintyText(summary, own, baseline);
  if (winner === 'tie') {
    const both =
      ours === theirs ? `${name} and end to end both ${ours}` : `${name} ${ours} and end to end ${theirs}`;
    const level = summary.difference_interval === undefined ? '' : ': no difference within the uncertainty';
    return `${both}${level} (${signed(difference)} points, ${certainty}); ${name} took ${cost}.`;
  }
  const lead = `${Math.abs(difference).toFixed(2)} points ahead, ${certainty}`;
  if (winner === 'end_to_end') {
    return `End to end ${theirs} against ${ours} with ${nameInside(name)} (end to end ${lead}); ${name} took ${cost}.`;
  }
  return `${name} ${ours} against ${theirs} end to end (${lead}), at ${cost}.`;
}

/** The interval of the lead, whoever leads, and the images it was measured on. */
function certaintyText(summary: RunSummary, own: Outcome, baseline: Outcome): string {
  const { difference_interval: interval, difference_is_paired: isPaired, winner } = summary;
  if (interval === undefined) return 'uncertainty unknown';
  const [low, high] = winner === 'end_to_end' ? [-interval[1], -interval[0]] : interval;
  const text = winner === 'tie' ? signed : (points: number) => points.toFixed(2);
  const counts = [...new Set([own.evaluation_images, baseline.evaluation_images])].map(grouped);
  const how = isPaired ? 'compared image by image on' : 'on';
  return `95 % interval ${text(low)} to ${text(high)}, ${how} ${counts.join(' and ')} images`;
}

/** Derives the method from the summary only. */
function wayIn({ growth, fine_tuning: tuned, local }: RunSummary): Way {
  if (local !== undefined) return local;
  if (growth !== undefined) return 'growth';
  return tuned === undefined ? 'incubation' : 'fine_tuning';
}

/** A metric with its 95 % interval, if it is known. */
export function accuracyText(outcome: Scored, metric: Metric): string {
  const [low, high] = intervalIn(outcome, metric) ?? [];
  const interval =
    low === undefined || high === undefined ? '' : ` (95 % interval ${low.toFixed(2)} to ${high.toFixed(2)})`;
  return `${scoreText(metric, scoreOf(outcome, metric))}${interval}`;
}

/** A row per phase, then the totals that are compared. Cells are text with units. */
export interface SummaryTable {
  readonly head: readonly string[];
  readonly rows: readonly { readonly cells: readonly string[]; readonly total: boolean }[];
}

export function tableOf(summary: RunSummary): SummaryTable {
  const { end_to_end: baseline } = summary;
  const { shown } = metricsOf(summary);
  const row = (name: string, part: Outcome | PhaseResult) => cells(name, part, shown);
  const rows = summary.phases.map((result) => ({ cells: row(result.phase, result), total: false }));
  for (const way of ['incubation', 'growth', 'fine_tuning'] as const) {
    const outcome = summary[way];
    if (outcome) rows.push({ cells: row(WAY_NAMES[way], outcome), total: true });
  }
  if (baseline) rows.push({ cells: row(WAY_NAMES[summary.local ?? 'end_to_end'], baseline), total: true });
  const labels = shown.map(({ label }) => label);
  return { head: ['phase', 'steps', 'block-passes', 'MACs', TRAIN_TIME, ...labels, EVAL_LOSS], rows };
}

/** Columns that may be left out in a narrow terminal, in this order; the primary metric is always shown. */
function dispensable(summary: RunSummary): string[] {
  const others = metricsOf(summary).shown.slice(1);
  return ['MACs', 'steps', ...others.map(({ label }) => label), EVAL_LOSS, TRAIN_TIME];
}

/**
 * The table of accuracy against cost with the sentence below it, for a terminal of `columns` characters. A wider table is reduced
 * by its least important columns.
 */
export function table(summary: RunSummary, columns = Number.POSITIVE_INFINITY, way?: Way): string {
  const { head, rows } = tableOf(summary);
  const lines = narrowed([head, ...rows.map((row) => row.cells)], columns, dispensable(summary));
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
  const sentences = [sentence(summary, way), ...curriculumLines(summary.phases)];
  return [text[0], rule, ...body, ...foot, '', ...sentences.map((each) => wrapped(each, columns)), ''].join(
    '\n',
  );
}

/** Breaks a sentence between words into lines of at most `columns` characters. */
function wrapped(text: string, columns: number): string {
  if (!Number.isFinite(columns) || columns < 20) return text;
  return text.replace(new RegExp(`(.{1,${columns}})(?: |$)`, 'g'), '$1\n').trimEnd();
}

function cells(name: string, part: Outcome | PhaseResult, metrics: readonly Metric[]): string[] {
  return [
    name,
    typeof part.steps === 'number' ? part.steps.toLocaleString('en-US') : '',
    `${significant(part.block_passes / 1e6)} M`,
    withPrefix(part.macs),
    duration(part.seconds),
    ...metrics.map((metric) => scoreText(metric, scoreOf(part, metric))),
    part.loss.toFixed(3),
  ];
}

function ratios(incubation: Outcome, baseline: Outcome): string {
  const parts = [
    ratio(incubation.block_passes, baseline.block_passes, 'block-passes'),
    ratio(incubation.seconds, baseline.seconds, TRAIN_TIME),
  ].filter((part) => part !== undefined);
  return parts.length === 0
    ? 'an unknown cost'
    : new Intl.ListFormat('en-GB', { type: 'conjunction' }).format(parts);
}

function ratio(a: number, b: number, of: string): string | undefined {
  return b > 0 ? `${(a / b).toFixed(2)} x the ${of}` : undefined;
}

function signed(points: number): string {
  return `${points < 0 ? '' : '+'}${points.toFixed(2)}`;
}

function grouped(count: number | undefined): string {
  return count === undefined ? '?' : count.toLocaleString('en-US');
}
