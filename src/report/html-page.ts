import { scoreOf, scoreText, type TaskMetrics } from '../run/metric.js';
import { curriculumLines } from '../run/records.js';
import { metricsOf } from '../tasks/metrics.js';
import { type ClassifiedPhase, classifiedSection } from './classified-section.js';
import { roleOf } from './curves.js';
import type { DataPoint } from './data-efficiency.js';
import { bytes, EVAL_LOSS, significant, TRAIN_LOSS, TRAIN_TIME } from './format.js';
import { STYLE } from './html-style.js';
import { type Markup, markup, scrolling, trusted } from './markup.js';
import { methodFigure } from './method-figure.js';
import { type DrawnPhase, predictionsSection } from './predictions-section.js';
import type { ReportData } from './run-data.js';
import { type Outcome, ownOutcome, type RunSummary } from './summary.js';
import { type SummaryTable, sentence, tableOf } from './summary-text.js';
import { type Interval, intervalIn } from './uncertainty.js';
import { ownNames, WAY_NAMES, type Way } from './way.js';

interface Figures {
  readonly byOperations?: PageFigure;
  readonly byTime?: PageFigure;
  readonly losses: readonly LossPanel[];
  readonly drawn: readonly DrawnPhase[];
  readonly classified: readonly ClassifiedPhase[];
  /** The compared runs, including this one; the comparison is left out if there are fewer than two. */
  readonly compared: { readonly runs: readonly DataPoint[]; readonly byData?: PageFigure };
}

export interface PageFigure {
  readonly wide: string;
  readonly narrow: string;
}

export interface LossPanel {
  readonly phase: string;
  readonly svg: string;
}

const ROLES = {
  meta: 'meta model',
  hybrid: 'hybrid',
  assembled: 'assembled model, fine-tuned',
  end_to_end: 'baseline from scratch',
};

function roleText(phase: string, way: Way): string {
  const role = roleOf(phase);
  if (role === 'assembled' && way === 'growth') return 'model grown from the meta model';
  return role === 'assembled' && way === 'fine_tuning' ? 'pretrained model, fine-tuned' : ROLES[role];
}

/** The report as one HTML document. All text from files is escaped. */
export function reportPage(run: ReportData, figures: Figures): string {
  const { recipe, way, summary, missing } = run;
  return `${
    markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${summary.name} · ${WAY_NAMES[way]}</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<main>
<h1>${summary.name}</h1>
<p class="kind">${WAY_NAMES[way]} run · seed ${summary.seed}</p>
<p class="result">${sentence(summary, way).replace(/ (?=[%x]\W)/g, '\u00a0')}</p>
${missing.length > 0 && missingBox(missing)}
${tiles(run)}
${whatSection(run)}
${accuracySection(figures, run)}
${predictionsSection(figures.drawn)}
${classifiedSection(figures.classified)}
${summary.phases.length > 0 && phaseTable(summary, recipe)}
${figures.compared.runs.length > 1 && comparison(figures.compared)}
${figures.losses.length > 0 && lossSection(figures.losses, way)}
${environment(summary)}
<h2>Recipe</h2>
${scrolling('Recipe', markup`<pre>${JSON.stringify(recipe, undefined, 2)}</pre>`)}
${reproduction(summary)}
</main>
</body>
</html>
`.html
  }`;
}

function missingBox(missing: readonly string[]): Markup {
  return markup`<div class="missing"><b>This run is not complete.</b><ul>${missing.map((line) => markup`<li>${line}</li>`)}</ul></div>`;
}

function tiles({ summary, way, metrics: { primary } }: ReportData): Markup | undefined {
  const own = ownOutcome(summary);
  const { end_to_end: baseline } = summary;
  if (own === undefined && baseline === undefined) return undefined;
  const name = WAY_NAMES[way];
  const tile = (kind: string, value: string, label: string) =>
    markup`<div class="tile ${kind}"><b>${value}</b><span>${label}</span></div>`;
  const score = (kind: string, outcome: Outcome, label: string) => {
    const interval = intervalIn(outcome, primary);
    return tile(
      kind,
      scoreText(primary, scoreOf(outcome, primary)),
      `${primary.label}, ${label}${interval === undefined ? '' : intervalText(interval)}`,
    );
  };
  const ratio = (a: number, b: number, label: string) => b > 0 && tile('', `${(a / b).toFixed(2)} ×`, label);
  return markup`<div class="tiles">
${own && score('incubation', own, name)}
${baseline && score('end_to_end', baseline, way === 'infopro' || way === 'dgl' ? WAY_NAMES[way] : 'end to end')}
${own && baseline && ratio(own.block_passes, baseline.block_passes, `block-passes, ${name} to end to end`)}
${own && baseline && ratio(own.seconds, baseline.seconds, `${TRAIN_TIME}, ${name} to end to end`)}
</div>`;
}

function intervalText([low, high]: Interval): string {
  return ` (95 % interval ${low.toFixed(2)} to ${high.toFixed(2)})`;
}

function whatSection({ recipe, way, stages }: ReportData): Markup | undefined {
  const { model, data } = Object(recipe);
  const facts = [
    ['model', ...named(model, ['preset', 'width', 'depth', 'heads', 'patch_size', 'image_size', 'classes'])],
    ['images', ...named(data, ['format', 'fraction', 'train_images', 'eval_images'])],
  ].filter((row) => row.length > 1);
  const drawing = methodFigure(stages);
  if (facts.length === 0 && drawing === undefined) return undefined;
  const rows = facts.map(
    ([key, ...parts]) => markup`<tr><td>${key}</td><td>${parts.join(' \u00b7 ')}</td></tr>`,
  );
  return markup`<h2>What was trained</h2>
${rows.length > 0 && scrolling('What was trained', markup`<table class="facts"><tbody>${rows}</tbody></table>`)}
${drawing && markup`<figure>${drawing}</figure><p class="note">A box is a stage, with its number of blocks. Filled: trained in this phase; outlined: frozen. ${PHASE_NOTES[way]}</p>`}`;
}

/** Explains, for each training method, the phases in the drawing. */
const PHASE_NOTES: Readonly<Record<Way, string>> = {
  incubation:
    'PT trains the meta model; each MT trains one module inside it; FT fine-tunes the assembled modules; E2E trains the same model from scratch.',
  growth:
    'PT trains the meta model; FT trains the whole model, which starts as the meta model; E2E trains the same model from scratch.',
  fine_tuning: 'FT fine-tunes the pretrained model; E2E trains the same model from scratch.',
  end_to_end: 'E2E trains the model from scratch.',
  infopro: 'E2E trains the model from scratch with InfoPro: each module has its own loss.',
  dgl: 'E2E trains the model from scratch with DGL: each module has its own loss.',
};

function named(section: unknown, keys: readonly string[]): string[] {
  const values = Object(section);
  return keys
    .filter((key) => ['string', 'number'].includes(typeof values[key]))
    .map((key) => `${key.replaceAll('_', ' ')} ${values[key]}`);
}

function accuracySection(
  { byOperations, byTime }: Figures,
  { way, metrics }: ReportData,
): Markup | undefined {
  if (byOperations === undefined) return undefined;
  const local = way === 'infopro' || way === 'dgl' ? WAY_NAMES[way] : undefined;
  return markup`<h2>Accuracy against cost</h2>
${figure(byOperations)}
<ul class="legend">
${way === 'incubation' && markup`<li><i></i>Deep Incubation: the assembled model in FT</li>\n<li class="thin"><i></i>before FT: the meta model (PT) and the hybrids (MT)</li>`}
${way === 'growth' && markup`<li><i></i>Growth: the model grown from the meta model, in FT</li>\n<li class="thin"><i></i>before it: the meta model (PT)</li>`}
${way === 'fine_tuning' && markup`<li><i></i>Fine-tuning of the pretrained model (FT)</li>`}
<li class="end_to_end"><i></i>${local ?? 'end to end'} from scratch (E2E)</li>
</ul>
<p class="note">${metrics.primary.title} on the evaluation images. A block-pass is one image through one block: forward, weight gradient and activation gradient count as one each. ${way === 'incubation' && 'The phases of Deep Incubation are drawn in sequence, as if one machine trained all of them; the modules (MT) are independent and can be trained in parallel on several machines.'}</p>
${byTime && markup`<h3>Accuracy against ${TRAIN_TIME}</h3>${figure(byTime)}`}`;
}

function figure({ wide, narrow }: PageFigure): Markup {
  return markup`<figure><div class="wide">${trusted(wide)}</div><div class="narrow">${trusted(narrow)}</div></figure>`;
}

function comparison({ runs, byData }: Figures['compared']): Markup {
  const [{ metric }] = runs;
  const percent = (value: number | undefined) => (value === undefined ? '' : scoreText(metric, value));
  const rows = runs.map(
    ({ root, name, fraction, own, end_to_end: baseline }) =>
      markup`<tr><td>${name}</td><td>${percent(own)}</td><td>${percent(baseline)}</td><td>${significant(100 * fraction)} %</td><td>${root}</td></tr>`,
  );
  return markup`<h2>Comparison with other runs</h2>
${scrolling('Runs', markup`<table class="runs"><thead><tr><th>run</th><th>${metric.label}, ${ownNames(runs)}</th><th>${metric.label}, end to end</th><th>training images</th><th>folder</th></tr></thead><tbody>${rows}</tbody></table>`)}
${byData && markup`<h3>Accuracy against the share of training images</h3>${figure(byData)}<p class="note">Lines connect the means of the runs with the same share.</p>`}`;
}

function lossSection(losses: readonly LossPanel[], way: Way): Markup {
  const panels = losses.map(
    ({ phase, svg }) =>
      markup`<figure><figcaption>${phase} <span>${roleText(phase, way)}</span></figcaption>${trusted(svg)}</figure>`,
  );
  return markup`<h2>Loss</h2>
<ul class="legend"><li class="train"><i></i>${TRAIN_LOSS}: as optimised (the loss of the recipe, with augmented images, mixed or smoothed labels)</li><li><i></i>${EVAL_LOSS}: cross-entropy on the evaluation images, plain labels</li></ul>
${way === 'incubation' && markup`<p class="note">A hybrid is the meta model with one stage replaced by the module that is trained.</p>`}
<div class="panels">${panels}</div>`;
}

function environment({ machine }: RunSummary): Markup | undefined {
  const facts = Object.entries(machine);
  if (facts.length === 0) return undefined;
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  const rows = facts.map(([key, value]) => markup`<tr><td>${key}</td><td>${text(value)}</td></tr>`);
  return markup`<h2>Environment</h2>${scrolling('Environment', markup`<table class="facts"><tbody>${rows}</tbody></table>`)}`;
}

function reproduction({ seed, phases }: RunSummary): Markup {
  const parts = phases.map(({ phase }, index) => markup`${index > 0 && ', '}<code>--only ${phase}</code>`);
  return markup`<h2>How to reproduce</h2>
<p>In the run's folder, <code>recipe.json</code> is the recipe that was used, with seed ${seed} included. Train it again into a new folder, from where the images are found, with</p>
${scrolling('Command', markup`<pre class="commands">npx deep-incubation run recipe.json --out again</pre>`)}
${parts.length > 1 && markup`<p class="note">or phase by phase, on any machine: add ${parts}.</p>`}
<p class="note">Every random number depends only on the seed, the phase, the epoch and the sample or step, so neither the number of workers nor resuming changes the outcome.</p>`;
}

/** The primary metric and the cost come first because a phone has room for only four columns. */
function columnsFor({ primary, shown }: TaskMetrics): string[] {
  const others = shown.filter((metric) => metric !== primary).map(({ label }) => label);
  const cost = ['block-passes', TRAIN_TIME, 'device hours', 'MACs', 'steps', 'memory'];
  return ['phase', primary.label, ...cost, ...others, EVAL_LOSS];
}

/** The table of the report: a row per phase, then the totals that are compared. */
function phaseTable(summary: RunSummary, recipe: unknown): Markup {
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
<p class="note">${capitalised(listed(metrics))} and ${EVAL_LOSS} are those of a phase's last evaluation, on the evaluation images. The ${TRAIN_TIME} leaves evaluation and start-up out; device hours are that time by the processes that trained the phase together. Memory is the process's peak, or on a GPU that of allocated device memory. MACs are multiply-accumulates.${curriculumLines(summary.phases).map((line) => markup` ${line}`)}</p>`;
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
