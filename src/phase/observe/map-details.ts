import type { Batch, Dataset } from '../../data/dataset.js';
import type { PhaseFolder } from '../../run/run-folder.js';
import {
  removeSegmentationDetails,
  segmentationDetailsPath,
  writeSegmentationDetails,
} from '../../run/segmentation-details.js';
import type { Tensor } from '../../torch/tensor.js';
import { classNames } from '../../training/confusion-counter.js';
import type { Sums, Task } from '../../training/task.js';
import { classColour, drawMaps } from './map-picture.js';
import { isOfLaterStep } from './phase-samples.js';

/** Most images that are drawn; there may be fewer. */
const MOST = 6;

interface DrawnMap {
  readonly batch: Batch;
  readonly labels: Uint8Array;
  readonly prediction: Uint8Array;
}

/** Collects the classes and some images of an evaluation of a task that labels pixels. */
export interface MapDetails {
  onOutput(batch: Batch, output: Tensor): void;
  onScored(sums: Sums): void;
  /** Writes the collected details as those of `step`. */
  write(step: number): Promise<void>;
}

export interface MapDetailsOptions {
  readonly val: Dataset;
  /** Number of images that are drawn: evenly spaced in the data set, always the same ones. */
  readonly shown: number;
  readonly fromStep: number;
}

/**
 * Returns a function that starts to collect the details of an evaluation; undefined for a task that does not label pixels.
 * Existing details of steps after `fromStep` are removed, because these steps are trained again.
 */
export function openMapDetails(
  folder: PhaseFolder,
  { labelMap, classScores }: Task,
  { val, shown, fromStep }: MapDetailsOptions,
): (() => MapDetails) | undefined {
  if (labelMap === undefined || classScores === undefined) return undefined;
  if (isOfLaterStep(segmentationDetailsPath(folder), fromStep)) removeSegmentationDetails(folder);
  const names = classNames(val.classes);
  const named = (label: number) => ({
    class: label,
    ...(names?.[label] !== undefined && { name: names[label] }),
  });
  const count = Math.min(shown, MOST, val.length);
  const drawn = new Set(Array.from({ length: count }, (_, i) => Math.floor((i * val.length) / count)));
  return () => {
    const totals: Record<string, number> = {};
    const maps: DrawnMap[] = [];
    return {
      onOutput: (batch, output) => {
        const { labelMaps: labels, indices } = batch;
        if (labels !== undefined && drawn.has(indices[0]))
          maps.push({ batch, labels, prediction: labelMap(output) });
      },
      onScored: (sums) => {
        for (const [name, sum] of Object.entries(sums)) totals[name] = (totals[name] ?? 0) + sum;
      },
      write: async (step) => {
        const known = (value: number) => (Number.isFinite(value) ? value : null);
        const classes = classScores({ loss: 0, ...totals }).map(({ class: label, iou, acc, pixels }) => ({
          ...named(label),
          iou: known(iou),
          acc: known(acc),
          pixels,
        }));
        const pictures = await Promise.all(
          maps.map(({ batch, labels, prediction }) =>
            drawMaps({ ...batch, data: batch.images }, labels, prediction),
          ),
        );
        const images = pictures.map(({ width, height, classes: present }, i) => {
          const [index] = maps[i].batch.indices;
          const shown = present.map((label) => ({ ...named(label), colour: classColour(label) }));
          return { index, file: val.describe(index), width, height, classes: shown };
        });
        const pngs = pictures.map(({ png }) => png);
        writeSegmentationDetails(folder, { step, classes, images }, pngs);
      },
    };
  };
}
