import { existsSync, readFileSync } from 'node:fs';
import { readJson, runFolder } from '../run/run-folder.js';
import {
  mapPath,
  type SegmentationDetails,
  segmentationDetailsOf,
  segmentationDetailsPath,
} from '../run/segmentation-details.js';
import { type Markup, markup, scrolling } from './markup.js';

/** The last evaluation of a phase that labels pixels. */
export interface SegmentedPhase {
  readonly phase: string;
  readonly details: SegmentationDetails;
  /** The pictures of `details.images` as data URLs; undefined if a picture is missing. */
  readonly pictures: readonly (string | undefined)[];
}

/** The details of the models that a run is about: FT and E2E. Missing or invalid files are left out. */
export function segmentedPhases(root: string): SegmentedPhase[] {
  return ['FT', 'E2E'].flatMap((phase) => {
    const folder = runFolder(root).phase(phase);
    const path = segmentationDetailsPath(folder);
    const details = existsSync(path) ? segmentationDetailsOf(readJson(path)) : undefined;
    if (details === undefined) return [];
    const pictures = details.images.map((_, image) => {
      const png = mapPath(folder, details.step, image);
      return existsSync(png) ? `data:image/png;base64,${readFileSync(png, 'base64')}` : undefined;
    });
    return [{ phase, details, pictures }];
  });
}

/** Predictions over images, and the classes with the lowest IoU. */
export function predictionsSection(phases: readonly SegmentedPhase[]): Markup | undefined {
  if (phases.length === 0) return undefined;
  return markup`<h2>Predictions</h2>
<p class="note">The same evaluation images in each phase, evenly spaced in the data set: the image, its labels, and the prediction. Pixels without a label have no colour.</p>
${phases.map((each) => [pictures(each), worstClasses(each)])}`;
}

function pictures({ phase, details, pictures }: SegmentedPhase): Markup | undefined {
  const shown = details.images.flatMap((image, i) => {
    const source = pictures[i];
    if (source === undefined) return [];
    const legend = image.classes.map(
      ({ class: label, name = String(label), colour }) =>
        markup`<li><i style="background:${colour}"></i>${name}</li>`,
    );
    const [width, height] = [3 * image.width, image.height];
    return markup`<figure><img src="${source}" width="${width}" height="${height}" alt="Image, labels and prediction of ${image.file}"><figcaption><span>image</span><span>labels</span><span>prediction</span></figcaption><ul class="classes">${legend}</ul></figure>`;
  });
  if (shown.length === 0) return undefined;
  return markup`<h3>${phase}, step ${details.step.toLocaleString('en-US')}</h3>
<div class="maps">${shown}</div>`;
}

const MOST = 10;

function worstClasses({ phase, details: { classes } }: SegmentedPhase): Markup | undefined {
  const scored = classes.flatMap(({ iou, ...rest }) => (iou === null ? [] : [{ ...rest, iou }]));
  if (scored.length === 0) return undefined;
  const worst = scored.toSorted((a, b) => a.iou - b.iou).slice(0, MOST);
  const percent = (value: number | null) => (value === null ? '' : `${value.toFixed(2)} %`);
  const rows = worst.map(
    ({ class: label, name = String(label), iou, acc, pixels }) =>
      markup`<tr><td>${name}</td><td>${percent(iou)}</td><td>${percent(acc)}</td><td>${pixels.toLocaleString('en-US')}</td></tr>`,
  );
  const title =
    scored.length > MOST ? `The ${MOST} worst of ${scored.length} classes` : 'Classes, the worst first';
  return markup`<h3>${title} (${phase})</h3>
${scrolling(title, markup`<table><thead><tr><th>class</th><th>IoU</th><th>accuracy</th><th>labelled pixels</th></tr></thead><tbody>${rows}</tbody></table>`)}`;
}
