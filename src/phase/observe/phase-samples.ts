import { existsSync } from 'node:fs';
import type { Batch, Dataset } from '../../data/dataset.js';
import { readJson } from '../../run/run-folder.js';
import { removeSamples, type SampleImage, samplesPath, writeSamples } from '../../run/samples.js';
import { slice, to } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { classNames } from '../../training/confusion-counter.js';
import type { Predictions, Task } from '../../training/task.js';
import { type Planar, sheetOf, shrunk } from './image-sheet.js';

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

/** An evaluated image that is shown to the user. */
interface EvaluatedImage {
  readonly index: number;
  readonly target: number;
  readonly predictions: readonly { readonly label: number; readonly probability: number }[];
}

/**
 * Keeps a few images of an evaluation: misclassified images with the most confident predictions, then correctly classified
 * images with the least confident predictions. Keeps one image of each class, and more only if there is room.
 */
interface EvaluatedImages {
  add(batch: Batch, predictions: Predictions): void;
  /** The kept images, misclassified ones first. */
  found(): { readonly pixels: Planar; readonly images: readonly EvaluatedImage[] } | undefined;
}

interface Kept extends EvaluatedImage {
  readonly rank: number;
  readonly pixels: Uint8Array;
}

export function evaluatedImages(most: number): EvaluatedImages {
  // `firsts` has at most one image of each class, `others` has further images.
  let firsts: Kept[] = [];
  let others: Kept[] = [];
  const best = (images: readonly Kept[]) => images.toSorted((a, b) => b.rank - a.rank).slice(0, most);
  const keep = (image: Kept) => {
    const rival = firsts.find(({ target }) => target === image.target);
    if (rival === undefined || image.rank > rival.rank) {
      const ranked = firsts
        .filter((each) => each !== rival)
        .concat(image)
        .toSorted((a, b) => b.rank - a.rank);
      firsts = ranked.slice(0, most);
      others = best([...others, ...(rival ? [rival] : []), ...ranked.slice(most)]);
    } else {
      others = best([...others, image]);
    }
  };
  let shape: Pick<Planar, 'channels' | 'height' | 'width'> | undefined;
  return {
    add: (batch, { k, labels, classes, probabilities }) => {
      if (most === 0) return;
      const { channels, height, width } = batch;
      shape ??= { channels, height, width };
      if (shape.channels !== channels || shape.height !== height || shape.width !== width) return;
      const length = channels * height * width;
      for (const [image, target] of labels.entries()) {
        const isWrong = classes[image * k] !== target;
        const sureness = probabilities[image * k] || 0;
        const rank = isWrong ? 1 + sureness : 1 - sureness;
        // Skip an image that is neither the best of its class nor good enough for `others`.
        const rival = firsts.find((each) => each.target === target);
        const least = Math.min(others[most - 1]?.rank ?? -1, (rival ?? firsts[most - 1])?.rank ?? -1);
        if (rank <= least) continue;
        const predictions = Array.from({ length: k }, (_, place) => ({
          label: classes[image * k + place],
          probability: probabilities[image * k + place],
        }));
        const pixels = batch.images.slice(image * length, (image + 1) * length);
        keep({ rank, index: batch.indices[image], target, predictions, pixels });
      }
    },
    found: () => {
      const kept = best([...firsts, ...others.slice(0, most - firsts.length)]);
      if (shape === undefined || kept.length === 0) return undefined;
      const images = new Uint8Array(kept.length * kept[0].pixels.length);
      for (const [slot, { pixels }] of kept.entries()) images.set(pixels, slot * pixels.length);
      return { pixels: { ...shape, size: kept.length, images }, images: kept };
    },
  };
}

/**
 * The labels that an image of a batch is trained towards, with their weights, without label smoothing. Empty if its pixels are
 * labelled, or its objects.
 */
export function targetsOf(
  { labels, labelMaps, objects, mix }: Batch,
  image: number,
): { label: number; weight: number }[] {
  if (labelMaps !== undefined || objects !== undefined) return [];
  const label = labels[image];
  const partner = labels[labels.length - 1 - image];
  if (mix === undefined || partner === label) return [{ label, weight: 1 }];
  return [
    { label, weight: mix.lambda },
    { label: partner, weight: 1 - mix.lambda },
  ];
}

/**
 * The first `shown` images of a batch as the model sees them, erased and mixed, with the normalisation reversed. Random
 * numbers for this come from the keys of the batch, so that no other random numbers change.
 */
function seenImages(
  batch: Batch,
  shown: number,
  {
    task,
    mean,
    std,
  }: { readonly task: Task; readonly mean: readonly number[]; readonly std: readonly number[] },
): Planar {
  const size = Math.min(shown, batch.size);
  const { shape, values } = scope(() => {
    const { input } = task.prepare(batch);
    const first = to(slice(input, 0, 0, size), { dtype: 'F32', device: 'cpu' });
    return { shape: first.shape, values: first.toFloat32Array() };
  });
  const [, channels, height, width] = shape;
  const area = height * width;
  const images = Uint8Array.from(values, (value, at) => {
    const channel = Math.floor(at / area) % channels;
    return Math.min(255, Math.max(0, Math.round(255 * (value * std[channel] + mean[channel]))));
  });
  return { size, channels, height, width, images };
}

/** Whether a JSON file's `step` is after `fromStep`. Also true if the file has no step or cannot be read. */
export function isOfLaterStep(path: string, fromStep: number): boolean {
  if (!existsSync(path)) return false;
  try {
    const { step }: { step?: unknown } = Object(readJson(path));
    return typeof step !== 'number' || step > fromStep;
  } catch {
    return true;
  }
}
