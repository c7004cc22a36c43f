import { existsSync, readFileSync } from 'node:fs';
import { type DrawnDetails, picturePath, readDrawnDetails } from '../run/drawn-details.js';
import { resolvedRunFolder } from '../run/run-folder.js';
import { taskKind } from '../tasks/tasks.js';
import type { Annotations } from '../training/task-kind.js';
import { type Markup, markup, scrolling } from './markup.js';

/** The last evaluation of a phase that labels pixels or finds objects. */
export interface DrawnPhase {
  readonly phase: string;
  readonly details: DrawnDetails;
  /** The pictures of `details.images` as data URLs; undefined if a picture is missing. */
  readonly pictures: readonly (string | undefined)[];
}

/** The details of the models that a run is about: FT and E2E. Missing or invalid files are left out. */
export function drawnPhases(root: string): DrawnPhase[] {
  const run = resolvedRunFolder(root);
  return ['FT', 'E2E'].flatMap((phase) => {
    const folder = run.phase(phase);
    const details = readDrawnDetails(folder);
    if (details === undefined) return [];
    const pictures = details.images.map((_, image) => {
      const png = picturePath(folder, details.step, image);
      return existsSync(png) ? `data:image/png;base64,${readFileSync(png, 'base64')}` : undefined;
    });
    return [{ phase, details, pictures }];
  });
}

/** How the report shows a task's details. */
function reportOf({ task }: Pick<DrawnDetails, 'task'>): Annotations<never>['report'] | undefined {
  return taskKind(task).annotations?.report;
}

/** Predictions over images, and the classes with the lowest scores. */
export function predictionsSection(phases: readonly DrawnPhase[]): Markup | undefined {
  if (phases.length === 0) return undefined;
  return markup`<h2>Predictions</h2>
<p class="note">The same evaluation images in each phase, evenly spaced in the data set: ${reportOf(phases[0].details)?.panels}</p>
${phases.map((each) => [pictures(each), worstClasses(each)])}`;
}

function pictures({ phase, details, pictures }: DrawnPhase): Markup | undefined {
  const labels = reportOf(details)?.labels;
  const shown = details.images.flatMap((image, i) => {
    const source = pictures[i];
    if (source === undefined) return [];
    const legend = image.classes.map(
      ({ class: label, name = String(label), colour }) =>
        markup`<li><i style="background:${colour}"></i>${name}</li>`,
    );
    const [width, height] = [3 * image.width, image.height];
    return markup`<figure><img src="${source}" width="${width}" height="${height}" alt="Image, ${labels} and prediction of ${image.file}"><figcaption><span>image</span><span>${labels}</span><span>prediction</span></figcaption><ul class="classes">${legend}</ul></figure>`;
  });
  if (shown.length === 0) return undefined;
  return markup`<h3>${phase}, step ${details.step.toLocaleString('en-US')}</h3>
<div class="maps">${shown}</div>`;
}

const MOST = 10;

/** A class with the score that it is sorted by, another score, and a count. */
interface ClassRow {
  readonly name: string;
  readonly score: number;
  readonly other: number | null;
  readonly count: number;
}

function worstClasses({ phase, details }: DrawnPhase): Markup | undefined {
  const { headings, rows } = classRows(details);
  if (rows.length === 0) return undefined;
  const percent = (value: number | null) => (value === null ? '' : `${value.toFixed(2)} %`);
  const lines = rows
    .toSorted((a, b) => a.score - b.score)
    .slice(0, MOST)
    .map(
      ({ name, score, other, count }) =>
        markup`<tr><td>${name}</td><td>${percent(score)}</td><td>${percent(other)}</td><td>${count.toLocaleString('en-US')}</td></tr>`,
    );
  const title =
    rows.length > MOST ? `The ${MOST} worst of ${rows.length} classes` : 'Classes, the worst first';
  const heads = ['class', ...headings].map((heading) => markup`<th>${heading}</th>`);
  return markup`<h3>${title} (${phase})</h3>
${scrolling(title, markup`<table><thead><tr>${heads}</tr></thead><tbody>${lines}</tbody></table>`)}`;
}

/** Classes without a score are left out. */
function classRows(details: DrawnDetails): { headings: readonly string[]; rows: ClassRow[] } {
  const { columns = [] } = reportOf(details) ?? {};
  const rows = details.classes.flatMap((each) => {
    const { class: label, name = String(label), ...scores } = each;
    const values: Readonly<Record<string, number | null>> = scores;
    const [score, other, count] = columns.map(({ key }) => values[key]);
    return score === null ? [] : [{ name, score, other, count: count ?? 0 }];
  });
  return { headings: columns.map(({ heading }) => heading), rows };
}
