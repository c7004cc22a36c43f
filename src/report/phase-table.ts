import type { TaskMetrics } from '../run/metric.js';
import { metricsOf } from '../tasks/metrics.js';
import { bytes, significant } from './format.js';
import { EVAL_LOSS, TRAIN_TIME } from './labels.js';
import { type Markup, markup, scrolling } from './markup.js';
import { ownOutcome, type RunSummary } from './summary.js';
import { type SummaryTable, tableOf } from './summary-text.js';

/** The primary metric and the cost come first because a phone has room for only four columns. */
function columnsFor({ primary, shown }: TaskMetrics): string[] {
  const others = shown.filter((metric) => metric !== primary).map(({ label }) => label);
  const cost = ['block-passes', TRAIN_TIME, 'device hours', 'MACs', 'steps', 'memory'];
  return ['phase', primary.label, ...cost, ...others, EVAL_LOSS];
}

/** The table of the report: a row per phase, then the totals that are compared. */
export function phaseTable(summary: RunSummary, recipe: unknown): Markup {
  const { head, rows } = withMachine(tableOf(summary), summary, ranksOf(recipe));
  const metrics = metricsOf(summary);
  const columns = columnsFor(metrics).filter((name) => head.includes(name));
  const order = columns.map((name) => head.indexOf(name));
  const body = rows.map(
    ({ cells, total }) =>
      markup`<tr class="${total ? 'total' : ''}">${order.map((at) => markup`<td>${cells[at]}</td>`)}</tr>`,
  );
  return markup`<h2>Phases</h2>
${scrolling('Phases', markup`<table class="phases"><thead><tr>${columns.map((name) => markup`<th>${name}</th>`)}</tr></thead><tbody>${body}</tbody></table>`)}
<p class="note">${capitalised(listed(metrics))} and ${EVAL_LOSS} are those of a phase's last evaluation, on the evaluation images. The ${TRAIN_TIME} leaves evaluation and start-up out; device hours are that time by the processes that trained the phase together. Memory is the process's peak, or on a GPU that of allocated device memory. MACs are multiply-accumulates.</p>`;
}

function listed({ shown }: TaskMetrics): string {
  return shown.map(({ label }) => label).join(', ');
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Adds device hours and memory to each row. */
function withMachine({ head, rows }: SummaryTable, summary: RunSummary, ranks: number): SummaryTable {
  const { phases, end_to_end: baseline } = summary;
  const totals = [ownOutcome(summary), baseline].filter((total) => total !== undefined);
  return {
    head: [...head, 'device hours', 'memory'],
    rows: rows.map(({ cells, total }, index) => {
      // A total is the sum over its phases, each with its own number of processes.
      const isBaseline = totals[index - phases.length] === baseline;
      const parts = total ? phases.filter(({ phase }) => (phase === 'E2E') === isBaseline) : [phases[index]];
      const hours = parts.reduce((sum, result) => sum + (result.seconds * (result.ranks ?? ranks)) / 3600, 0);
      return {
        cells: [...cells, significant(hours), total ? '' : bytes(phases[index].memory_bytes)],
        total,
      };
    }),
  };
}

/** The number of processes that trained a phase together, for results that do not contain it. */
function ranksOf(recipe: unknown): number {
  const ranks = Object(Object(recipe).run).ranks;
  return typeof ranks === 'number' ? ranks : 1;
}
