import type { Batch, Dataset } from '../../data/dataset.js';
import {
  type DrawnDetails,
  detailsPath,
  removeDrawnDetails,
  writeDrawnDetails,
} from '../../run/drawn-details.js';
import type { PhaseFolder } from '../../run/run-folder.js';
import type { Tensor } from '../../torch/tensor.js';
import { classNames } from '../../training/confusion-counter.js';
import type { Collection, Sums, Task } from '../../training/task.js';
import { drawMaps, type Picture } from './map-picture.js';
import { drawObjects } from './object-picture.js';
import { classColour } from './panels.js';
import { isOfLaterStep } from './phase-samples.js';

/** Most images that are drawn; there may be fewer. */
const MOST = 6;

/** Collects the classes and some images of an evaluation of a task that labels pixels or finds objects. */
interface DrawnEvaluation {
  /** What the evaluation collects for its metrics, if these need it. */
  readonly collection?: Collection | undefined;
  onOutput(batch: Batch, output: Tensor, target: unknown): void;
  onScored(sums: Sums): void;
  /** Writes the collected details as those of `step`. */
  write(step: number): Promise<void>;
}

interface DrawnOptions {
  readonly val: Dataset;
  /** Number of images that are drawn: evenly spaced in the data set, always the same ones. */
  readonly shown: number;
  readonly fromStep: number;
}

/** How an evaluation is drawn. */
interface Drawing {
  readonly task: DrawnDetails['task'];
  /** Draws an image of a batch; what it needs of the output must be read before it is freed. */
  draw(batch: Batch, output: Tensor, target: unknown): () => Promise<Picture>;
}

/**
 * Returns a function that starts to collect the details of an evaluation; undefined for other tasks. Existing details of steps after
 * `fromStep` are removed, because these steps are trained again.
 */
export function openDrawnDetails(
  folder: PhaseFolder,
  task: Task,
  { val, shown, fromStep }: DrawnOptions,
): (() => DrawnEvaluation) | undefined {
  const drawing = drawingOf(task);
  if (drawing === undefined) return undefined;
  if (isOfLaterStep(detailsPath(folder, drawing.task), fromStep)) removeDrawnDetails(folder, drawing.task);
  const names = classNames(val.classes);
  const named: Named = (scores) => ({
    ...scores,
    ...(names?.[scores.class] !== undefined && { name: names[scores.class] }),
  });
  const count = Math.min(shown, MOST, val.length);
  const indices = new Set(Array.from({ length: count }, (_, i) => Math.floor((i * val.length) / count)));
  return () => {
    const totals: Record<string, number> = {};
    const drawn: { readonly index: number; readonly picture: () => Promise<Picture> }[] = [];
    const collection = task.collect?.();
    return {
      collection,
      onOutput: (batch, output, target) => {
        const [index] = batch.indices;
        if (indices.has(index)) drawn.push({ index, picture: drawing.draw(batch, output, target) });
      },
      onScored: (sums) => {
        for (const [name, sum] of Object.entries(sums)) totals[name] = (totals[name] ?? 0) + sum;
      },
      write: async (step) => {
        const pictures = await Promise.all(drawn.map(({ picture }) => picture()));
        const images = pictures.map(({ width, height, classes: present }, i) => {
          const { index } = drawn[i];
          const shown = present.map((label) => named({ class: label, colour: classColour(label) }));
          return { index, file: val.describe(index), width, height, classes: shown };
        });
        const classes = classesOf(task, { loss: 0, ...totals }, collection, named);
        const pngs = pictures.map(({ png }) => png);
        writeDrawnDetails(folder, { ...classes, step, images }, pngs);
      },
    };
  };
}

function drawingOf({ labelMap, findings }: Task): Drawing | undefined {
  if (labelMap !== undefined) {
    return {
      task: 'segmentation',
      draw(batch, output) {
        const prediction = labelMap(output);
        return () => drawMaps({ ...batch, data: batch.images }, batch.labelMaps ?? prediction, prediction);
      },
    };
  }
  if (findings === undefined) return undefined;
  return {
    task: 'detection',
    draw(batch, _, target) {
      const [found] = findings(target);
      return () => drawObjects(batch, found);
    },
  };
}

type Classes<T extends DrawnDetails = DrawnDetails> = T extends unknown ? Pick<T, 'task' | 'classes'> : never;
type Named = <T extends { readonly class: number }>(scores: T) => T & { readonly name?: string };

/** The scores of each class, in the form of the details. */
function classesOf(
  { classScores }: Task,
  sums: Sums,
  collection: Collection | undefined,
  named: Named,
): Classes {
  const known = (value: number) => (Number.isFinite(value) ? value : null);
  const overlaps = classScores?.(sums);
  if (overlaps === undefined) {
    const precisions = collection?.classPrecisions?.() ?? [];
    const classes = precisions.map(({ class: label, ap, maskAp, objects }) =>
      named({ class: label, ap: known(ap), mask_ap: known(maskAp), objects }),
    );
    return { task: 'detection', classes };
  }
  const classes = overlaps.map(({ class: label, iou, acc, pixels }) =>
    named({ class: label, iou: known(iou), acc: known(acc), pixels }),
  );
  return { task: 'segmentation', classes };
}
