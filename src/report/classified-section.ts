import { existsSync, readFileSync } from 'node:fs';
import { type Confusion, confusionOf } from '../run/confusion.js';
import { readJson, runFolder } from '../run/run-folder.js';
import { type SampleImage, type Samples, samplesOf, samplesPath, stripPath } from '../run/samples.js';
import {
  classAccuracy,
  classScores,
  confusions,
  labelName,
  worstClasses,
} from '../tasks/classification/class-scores.js';
import { type Markup, markup, scrolling } from './markup.js';

/** The last evaluation of a phase that classifies images. */
export interface ClassifiedPhase {
  readonly phase: string;
  readonly confusion: Confusion;
  /** Some of the images, and the strip with them as a data URL. */
  readonly samples?: { readonly described: Samples; readonly strip: string } | undefined;
}

/** The predictions of the models that a run is about: FT and E2E. Missing or invalid files are left out. */
export function classifiedPhases(root: string): ClassifiedPhase[] {
  return ['FT', 'E2E'].flatMap((phase) => {
    const folder = runFolder(root).phase(phase);
    const confusion = existsSync(folder.confusion) ? confusionOf(readJson(folder.confusion)) : undefined;
    return confusion === undefined ? [] : [{ phase, confusion, samples: samplesIn(folder.samples) }];
  });
}

function samplesIn(folder: string): ClassifiedPhase['samples'] {
  const path = samplesPath(folder, 'eval');
  const described = existsSync(path) ? samplesOf(readJson(path)) : undefined;
  if (described === undefined || described.images.length === 0) return undefined;
  const png = stripPath(folder, 'eval', described.step);
  if (!existsSync(png)) return undefined;
  return { described, strip: `data:image/png;base64,${readFileSync(png, 'base64')}` };
}

/** Largest number of classes whose confusion matrix is shown as a whole. */
const MOST_CLASSES = 20;
const MOST_ROWS = 10;

/** The accuracy on each class, the confusion matrix and sample images. */
export function classifiedSection(phases: readonly ClassifiedPhase[]): Markup | undefined {
  if (phases.length === 0) return undefined;
  return markup`<h2>Predictions</h2>
<p class="note">The last evaluation of each model. The images are the most confident mistakes, then the least confident correct predictions, one of each class first.</p>
${phases.map((each) => [heading(each), images(each), mistakes(each)])}`;
}

function heading({ phase, confusion: { step } }: ClassifiedPhase): Markup {
  return markup`<h3>${phase}, step ${step.toLocaleString('en-US')}</h3>`;
}

function images({ phase, samples }: ClassifiedPhase): Markup | undefined {
  if (samples === undefined) return undefined;
  const { width, height, images: shown } = samples.described;
  const figures = shown.map((image, i) => {
    const size = `width:${width}px;height:${height}px;background-position:${-i * width}px 0`;
    return markup`<figure><i role="img" aria-label="${image.file}" style="${size}"></i><figcaption>${captionOf(image)}</figcaption></figure>`;
  });
  return markup`<div class="samples" aria-label="Images of ${phase}" style="--strip:url(${samples.strip})">${figures}</div>`;
}

function captionOf({ targets: [target], predictions: [first] = [] }: SampleImage): (Markup | string)[] {
  const nameOf = ({ label, name = String(label) }: SampleImage['targets'][number]) => name;
  if (target === undefined || first === undefined) return [];
  const share = first.probability === null ? '' : ` ${Math.round(100 * first.probability)} %`;
  const predicted = first.name ?? String(first.label);
  if (first.label === target.label) return [markup`<span>${predicted}${share}</span>`];
  return [markup`<span class="wrong">${predicted}${share}</span>`, markup`<span>is ${nameOf(target)}</span>`];
}

function mistakes(phase: ClassifiedPhase): Markup {
  return phase.confusion.classes <= MOST_CLASSES ? matrix(phase) : lists(phase);
}

/** Rows are the classes of the images, columns the predictions. */
function matrix({ phase, confusion }: ClassifiedPhase): Markup {
  const labels = Array.from({ length: confusion.classes }, (_, label) => label);
  const count = new Map(confusion.counts.map(([target, guess, images]) => [`${target} ${guess}`, images]));
  const rows = classScores(confusion).map((score) => {
    const { class: target, images } = score;
    const cells = labels.map((guess) => {
      const found = count.get(`${target} ${guess}`) ?? 0;
      const kind = guess === target ? 'right' : 'wrong';
      return markup`<td class="${kind}" style="--share:${(found / images).toFixed(3)}">${found > 0 ? found.toLocaleString('en-US') : ''}</td>`;
    });
    return markup`<tr><th scope="row">${labelName(confusion, target)}</th>${cells}<td>${classAccuracy(score)}</td></tr>`;
  });
  const heads = labels.map((label) => markup`<th scope="col">${labelName(confusion, label)}</th>`);
  const title = `Confusion matrix of ${phase}`;
  return markup`<h4>${title}: images of each class (rows) by prediction (columns)</h4>
${scrolling(title, markup`<table class="matrix"><thead><tr><th></th>${heads}<th scope="col">accuracy</th></tr></thead><tbody>${rows}</tbody></table>`)}`;
}

function lists({ phase, confusion }: ClassifiedPhase): Markup {
  const number = (value: number) => value.toLocaleString('en-US');
  const name = (label: number) => labelName(confusion, label);
  const worst = worstClasses(confusion, MOST_ROWS).map(
    (score) =>
      markup`<tr><td>${name(score.class)}</td><td>${classAccuracy(score)}</td><td>${number(score.images)}</td></tr>`,
  );
  const pairs = confusions(confusion, MOST_ROWS).map(
    ([target, guess, images]) =>
      markup`<tr><td>${name(target)}</td><td>${name(guess)}</td><td>${number(images)}</td></tr>`,
  );
  const classes = number(classScores(confusion).length);
  return markup`<h4>The worst of ${classes} classes (${phase})</h4>
${scrolling(`Worst classes of ${phase}`, markup`<table><thead><tr><th>class</th><th>accuracy</th><th>images</th></tr></thead><tbody>${worst}</tbody></table>`)}
<h4>The most frequent confusions (${phase})</h4>
${scrolling(`Confusions of ${phase}`, markup`<table><thead><tr><th>class</th><th>predicted as</th><th>images</th></tr></thead><tbody>${pairs}</tbody></table>`)}`;
}
