import { existsSync } from 'node:fs';
import { InputError } from '../../base/errors.js';
import { type CocoResult, writeCocoResults } from '../../data/coco/results.js';
import { cocoPart } from '../../data/formats/coco.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import type { ModelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import type { CocoEvaluation } from '../../tasks/detection/coco-evaluate.js';
import { type DetectionCollection, detectionCollection, percent } from '../../tasks/detection/collection.js';
import type { Collection } from '../../training/task.js';
import { columns, print, printJson } from '../terminal/output.js';
import {
  type AnnotatedEvalOptions,
  type AnnotatedImages,
  evaluateAnnotated,
  printWorst,
  requireSupported,
} from './eval-annotated.js';

const COCO: AnnotatedImages = {
  format: 'coco',
  has: 'annotations of objects',
  instead: '`--per-image FILE.json` writes the objects of each image',
  hint: "use a data set in COCO's layout: annotations/instances_val2017.json and val2017",
  open: cocoPart,
};

/** `eval` of a checkpoint that finds objects, on a data set in COCO's layout. */
export async function evaluateDetection(
  checkpoint: CheckpointFile,
  known: ModelOfCheckpoint,
  options: AnnotatedEvalOptions,
): Promise<void> {
  requireSupported(options, known, COCO);
  const files = resultFiles(options.perImage);
  const found = detectionCollection(known.recipe.model.classes);
  const collection = found as Collection;
  const measured = await evaluateAnnotated(checkpoint, known, { ...options, images: COCO }, { collection });
  const { dataset, names, result, rows } = measured;
  if (files) writeResults(found, dataset.categoryIds, files);
  const kinds = { boxes: found.evaluation('boxes'), masks: found.evaluation('masks') };
  const classes = found.classPrecisions().map(({ class: label, ap, maskAp }) => ({
    class: label,
    name: names[label],
    ap: orNull(ap),
    mask_ap: orNull(maskAp),
  }));
  if (options.json) {
    return printJson({ ...result, boxes: figuresOf(kinds.boxes), masks: figuresOf(kinds.masks), classes });
  }
  const written = files ? [['written', Object.values(files).join(', ')]] : [];
  print(...columns([...rows, ...written], 2));
  printWorst(
    classes
      .flatMap(({ name, ap, mask_ap: maskAp }) => (ap === null ? [] : [{ name, ap, maskAp: maskAp ?? 0 }]))
      .filter(({ ap }) => ap < 100)
      .sort((a, b) => a.ap - b.ap)
      .map(({ name, ap, maskAp }) => [
        `  ${name}`,
        `AP ${ap.toFixed(2)} %`,
        `mask AP ${maskAp.toFixed(2)} %`,
      ]),
  );
}

/** The results of boxes and masks are separate files: COCO's own evaluation would take the area of a mask from its box. */
interface ResultFiles {
  readonly boxes: string;
  readonly masks: string;
}

function resultFiles(path: string | undefined): ResultFiles | undefined {
  if (path === undefined) return undefined;
  if (!path.endsWith('.json')) {
    throw new InputError(`--per-image ${path}: the name must end in .json for a model that finds objects`, {
      hint: 'For example --per-image results.json, which writes results.bbox.json and results.segm.json.',
    });
  }
  const named = (kind: string) => path.replace(/\.json$/, `.${kind}.json`);
  const files = { boxes: named('bbox'), masks: named('segm') };
  const there = Object.values(files).find((file) => existsSync(file));
  if (there === undefined) return files;
  throw new InputError(`--per-image ${path}: the file ${there} exists`, {
    hint: 'Choose another name, or remove the file.',
  });
}

function writeResults(
  { results }: DetectionCollection,
  categoryIds: readonly number[] = [],
  files: ResultFiles,
): void {
  const own = results.map((each): CocoResult => ({ ...each, categoryId: categoryIds[each.categoryId] }));
  writeCocoResults(files.boxes, own, 'boxes');
  writeCocoResults(files.masks, own, 'masks');
}

/** COCO's figures in percent; null if there are no objects that count. */
function figuresOf({ figures }: CocoEvaluation): Readonly<Record<string, number | null>> {
  return Object.fromEntries(Object.entries(figures).map(([name, figure]) => [name, orNull(percent(figure))]));
}

/** JSON has no NaN. */
function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
