import type { Batch, Dataset } from '../../data/dataset.js';
import { removeSamples, type SampleImage, samplesPath, writeSamples } from '../../run/samples.js';
import { classNames } from '../../training/confusion-counter.js';
import type { Task } from '../../training/task.js';
import { type EvaluatedImages, evaluatedImages } from './evaluated-images.js';
import { type Planar, sheetOf, shrunk } from './image-sheet.js';
import { isOfLaterStep } from './later-file.js';
import { seenImages, targetsOf } from './seen-images.js';

/** Stores a few images that a phase has seen in its folder. This does not affect the training. */
export interface PhaseSamples {
  /** Returns the same batches, and keeps images of the first one if the phase begins. */
  watching(batches: AsyncIterable<Batch>): AsyncIterable<Batch>;
  /** Collects images of an evaluation. */
  images(): EvaluatedImages;
  write(step: number, evaluated: EvaluatedImages): Promise<void>;
}

interface SamplesOptions {
  readonly folder: string;
  readonly shown: number;
  readonly fromStep: number;
  readonly task: Task;
  readonly train: Dataset;
  readonly val: Dataset;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Keeps nothing if `shown` is 0. Removes existing images of steps after `fromStep`. */
export function openPhaseSamples(options: SamplesOptions): PhaseSamples {
  const { folder, shown, fromStep, train, val } = options;
  if (fromStep === 0) removeSamples(folder, 'train');
  if (isOfLaterStep(samplesPath(folder, 'eval'), fromStep)) removeSamples(folder, 'eval');
  return {
    watching: (batches) =>
      shown > 0 && fromStep === 0
        ? first(batches, async (batch) => {
            const images = Array.from({ length: Math.min(shown, batch.size) }, (_, image) => ({
              ...placeOf(train, batch.indices[image]),
              targets: targetsOf(batch, image).map((target) => named(train, target)),
            }));
            await keep(folder, 'train', 0, seenImages(batch, shown, options), images);
          })
        : batches,
    images: () => evaluatedImages(shown),
    write: async (step, evaluated) => {
      const found = shown > 0 ? evaluated.found() : undefined;
      if (found === undefined) return;
      const images = found.images.map(({ index, target, predictions }) => ({
        ...placeOf(val, index),
        targets: [named(val, { label: target, weight: 1 })],
        predictions: predictions.map(({ label, probability }) =>
          named(val, { label, probability: Number.isFinite(probability) ? probability : null }),
        ),
      }));
      await keep(folder, 'eval', step, found.pixels, images);
    },
  };
}

/** Maximum length of a side in pixels. */
const SIDE = 112;

async function keep(
  folder: string,
  kind: 'train' | 'eval',
  step: number,
  planar: Planar,
  images: readonly SampleImage[],
): Promise<void> {
  if (planar.channels !== 1 && planar.channels !== 3) return;
  const small = await shrunk(planar, SIDE);
  const { width, height, size } = small;
  const { png } = await sheetOf(small, { shown: size, columns: size });
  writeSamples(folder, kind, { step, width, height, images: [...images] }, png);
}

function placeOf(dataset: Dataset, index: number): Pick<SampleImage, 'index' | 'file'> {
  return { index, file: dataset.describe(index) };
}

function named<T extends { label: number }>({ classes }: Dataset, value: T): T & { name?: string } {
  const name = classNames(classes)?.[value.label];
  return { ...value, ...(name !== undefined && { name }) };
}

async function* first(
  batches: AsyncIterable<Batch>,
  look: (batch: Batch) => Promise<void>,
): AsyncGenerator<Batch> {
  let isFirst = true;
  for await (const batch of batches) {
    if (isFirst) await look(batch);
    isFirst = false;
    yield batch;
  }
}
