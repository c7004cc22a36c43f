import { ade20k } from '../../data/formats/ade20k.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import type { ModelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import { classOverlaps } from '../../tasks/segmentation/metrics.js';
import type { ClassOverlap, Sums } from '../../training/task.js';
import { columns, print, printJson } from '../terminal/output.js';
import {
  type AnnotatedEvalOptions,
  type AnnotatedImages,
  evaluateAnnotated,
  printWorst,
  requireSupported,
} from './eval-annotated.js';

const ADE20K: AnnotatedImages = {
  format: 'ade20k',
  has: 'label maps',
  instead: '`predict --out DIR` writes the labels of each image',
  hint: "use a data set in ADE20K's layout: images, annotations and objectInfo150.txt",
  open: (data, part) => ade20k(data)[part],
};

/** `eval` of a checkpoint that labels pixels, on a data set in ADE20K's layout. */
export async function evaluateSegmentation(
  checkpoint: CheckpointFile,
  known: ModelOfCheckpoint,
  options: AnnotatedEvalOptions,
): Promise<void> {
  requireSupported(options, known, ADE20K, { '--per-image': options.perImage });
  const sums: Record<string, number> = {};
  const onScored = (each: Sums) => {
    for (const [name, value] of Object.entries(each)) sums[name] = (sums[name] ?? 0) + value;
  };
  const measured = await evaluateAnnotated(checkpoint, known, { ...options, images: ADE20K }, { onScored });
  const { names, result, rows } = measured;
  const overlaps = classOverlaps(sums as Sums, known.recipe.model.classes);
  if (options.json) {
    const classes = overlaps.map((each) => ({ ...withoutNaN(each), name: names[each.class] }));
    return printJson({ ...result, classes });
  }
  print(...columns(rows, 2));
  printWorst(
    overlaps
      .filter(({ iou, pixels }) => pixels > 0 && iou < 100)
      .sort((a, b) => a.iou - b.iou)
      .map(({ class: label, iou, acc, pixels }) => [
        `  ${names[label]}`,
        `IoU ${iou.toFixed(2)} %`,
        `accuracy ${acc.toFixed(2)} %`,
        `${pixels.toLocaleString('en-US')} pixels`,
      ]),
  );
}

/** JSON has no NaN: a class that does not occur has null. */
function withoutNaN(overlap: ClassOverlap) {
  const known = (value: number) => (Number.isNaN(value) ? null : value);
  return { ...overlap, iou: known(overlap.iou), acc: known(overlap.acc) };
}
