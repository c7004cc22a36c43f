import { roleOf } from './curves.js';
import { STYLE } from './html-style.js';
import { type Markup, markup, trusted } from './markup.js';
import type { RunData } from './run-data.js';
import type { RunSummary } from './summary.js';
import { sentence, tableOf } from './summary-text.js';

export interface Figures {
  readonly byOperations?: PageFigure;
  readonly byTime?: PageFigure;
  readonly losses: readonly LossPanel[];
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

/** The report as one HTML document. Whatever comes from files is escaped. */
export function reportPage({ recipe, summary, missing }: RunData, figures: Figures): string {
  return `${
    markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${summary.name} · Deep Incubation</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<main>
<h1>${summary.name}</h1>
<p class="kind">Deep Incubation run · seed ${summary.seed}</p>
<p class="result">${sentence(summary).replaceAll(' %', '\u00a0%')}</p>
${missing.length > 0 && missingBox(missing)}
${tiles(summary)}
${accuracySection(figures)}
${summary.phases.length > 0 && phaseTable(summary)}
${figures.losses.length > 0 && lossSection(figures.losses)}
${environment(summary)}
<h2>Recipe</h2>
<div class="scroll"><pre>${JSON.stringify(recipe, undefined, 2)}</pre></div>
${reproduction()}
</main>
</body>
</html>
`.html
  }`;
}

function missingBox(missing: readonly string[]): Markup {
  return markup`<div class="missing"><b>This run is not complete.</b><ul>${missing.map((line) => markup`<li>${line}</li>`)}</ul></div>`;
}

function tiles({ incubation, end_to_end: baseline }: RunSummary): Markup | undefined {
  if (incubation === undefined && baseline === undefined) return undefined;
  const tile = (kind: string, value: string, label: string) =>
    markup`<div class="tile ${kind}"><b>${value}</b><span>${label}</span></div>`;
  const ratio = (a: number, b: number, label: string) => b > 0 && tile('', `${(a / b).toFixed(2)} ×`, label);
  return markup`<div class="tiles">
${incubation && tile('incubation', `${incubation.top1.toFixed(2)} %`, 'top-1, Deep Incubation')}
${baseline && tile('end_to_end', `${baseline.top1.toFixed(2)} %`, 'top-1, end to end')}
${incubation && baseline && ratio(incubation.block_passes, baseline.block_passes, 'block-passes, Deep Incubation to end to end')}
${incubation && baseline && ratio(incubation.seconds, baseline.seconds, 'training time, Deep Incubation to end to end')}
</div>`;
}

function accuracySection({ byOperations, byTime }: Figures): Markup | undefined {
  if (byOperations === undefined) return undefined;
  return markup`<h2>Accuracy against cost</h2>
${figure(byOperations)}
<ul class="legend">
<li><i></i>Deep Incubation: the assembled model in FT</li>
<li class="thin"><i></i>before it: the meta model (PT), the hybrids (MT)</li>
<li class="end_to_end"><i></i>end to end from scratch (E2E)</li>
</ul>
<p class="note">A block-pass is one image through one block: forward, weight gradient and activation gradient count one each. The phases of Deep Incubation are laid one after another, as if one machine trained them all; the modules (MT) share nothing and can be trained at the same time on several.</p>
${byTime && markup`<h3>The same by training time</h3>${figure(byTime)}`}`;
}

function figure({ wide, narrow }: PageFigure): Markup {
  return markup`<figure><div class="wide">${trusted(wide)}</div><div class="narrow">${trusted(narrow)}</div></figure>`;
}

function phaseTable(summary: RunSummary): Markup {
  const { head, rows } = tableOf(summary);
  const body = rows.map(
    ({ cells, total }) =>
      markup`<tr class="${total ? 'total' : ''}">${cells.map((cell) => markup`<td>${cell}</td>`)}</tr>`,
  );
  return markup`<h2>Phases</h2>
<div class="scroll"><table><thead><tr>${head.map((name) => markup`<th>${name}</th>`)}</tr></thead><tbody>${body}</tbody></table></div>
<p class="note">Time is training time: evaluation and start-up are left out. MACs are multiply-accumulates.</p>`;
}

function lossSection(losses: readonly LossPanel[]): Markup {
  const panels = losses.map(
    ({ phase, svg }) =>
      markup`<figure><figcaption>${phase} <span>${ROLES[roleOf(phase)]}</span></figcaption>${trusted(svg)}</figure>`,
  );
  return markup`<h2>Loss</h2>
<ul class="legend"><li class="train"><i></i>training, as optimised (augmented images, mixed or smoothed labels)</li><li><i></i>evaluation: cross-entropy, plain labels</li></ul>
<p class="note">A hybrid is the meta model with one stage replaced by the target module in training.</p>
<div class="panels">${panels}</div>`;
}

function environment({ machine }: RunSummary): Markup | undefined {
  const facts = Object.entries(machine);
  if (facts.length === 0) return undefined;
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  const rows = facts.map(([key, value]) => markup`<tr><td>${key}</td><td>${text(value)}</td></tr>`);
  return markup`<h2>Environment</h2><div class="scroll"><table class="facts"><tbody>${rows}</tbody></table></div>`;
}

function reproduction(): Markup {
  return markup`<h2>How to reproduce</h2>
<p>In the run's folder, <code>recipe.json</code> is the recipe as it was used, seed included. Train it again into a new folder with</p>
<div class="scroll"><pre>deep-incubation run recipe.json --out again</pre></div>
<p class="note">Every random number depends on the seed, the phase, the epoch and the sample or step alone, so neither the number of workers nor resuming changes the outcome.</p>`;
}
