import { InputError } from '../../base/errors.js';
import { type RandomKey, type RandomStream, randomStream } from '../../base/random.js';
import { type Batch, type Box, type Dataset, labelOf, type Mix, type Shrink, sourceOf } from '../dataset.js';
import {
  createCanvas,
  type Failure,
  fill,
  fillAtOnce,
  type ImagePlan,
  type Loading,
  type Slot,
} from '../transforms/fill.js';
import { type ImageSize, sizeAfter, type Transform } from '../transforms/transform.js';

interface BatchOptions {
  readonly dataset: Dataset;
  readonly indices: Int32Array;
  /** Plans the processing of a slot's image. All results must have the same size and channels. */
  readonly plan: (size: ImageSize, slot: Pick<Slot, 'slot' | 'index'>) => ImagePlan;
  /** If absent, an image that cannot be read is an error. */
  readonly replacement?: Replacement;
  /** Called for each image that cannot be read or planned, which is then left out of the batch. */
  readonly onSkipped?: OnSkipped | undefined;
  /** After an abort, no new work starts, and the result of a pending batch is invalid. */
  readonly signal?: AbortSignal;
}

export type OnSkipped = (index: number, error: InputError) => void;

interface Replacement {
  /** The index of the image to try in a slot whose image cannot be read; `tries` = 0, 1 ... */
  readonly instead: (slot: number, tries: number) => number;
  /** Called for each image that cannot be read. */
  readonly onReplaced?: (describe: string, error: InputError) => void;
}

/**
 * Loads the images `indices` of a data set into one batch: synchronously if they are in memory and need no processing, otherwise
 * on the addon's threads, where reading of all images starts immediately.
 *
 * @throws InputError naming the image that cannot be read or planned, or does not match its batch. With a replacement, only if
 *   more than a tenth of the batch (and more than one image) cannot be read, or ten replacements for an image fail.
 */
export function loadBatch(options: BatchOptions): Batch | Promise<Batch> {
  const { dataset, indices, plan, signal } = options;
  const canvas = createCanvas(indices.length);
  const describe = (index: number) => dataset.describe(index);
  const loading: Loading = { canvas, erased: new Map(), plan, describe, signal };
  const slots = Array.from(indices, (index, slot) => slotOf(dataset, slot, index));
  if (options.onSkipped !== undefined) return fillSome(options, loading, slots, options.onSkipped);
  if (fillAtOnce(loading, slots)) return batchOf(options, loading, new Map());
  return fillAll(options, loading, slots).then((replaced) => batchOf(options, loading, replaced));
}

/** Fills the slots whose images can be read. Without any, the batch has size 0. */
async function fillSome(
  options: BatchOptions,
  loading: Loading,
  slots: readonly Slot[],
  onSkipped: OnSkipped,
): Promise<Batch> {
  const failures = await fill(loading, slots);
  for (const { slot, error } of failures) onSkipped(slot.index, error);
  if (failures.length === 0) return batchOf(options, loading, new Map());
  const failed = new Set(failures.map(({ slot }) => slot.slot));
  const kept = slots.filter(({ slot }) => !failed.has(slot));
  if (kept.length === 0) return EMPTY;
  const { channels, height, width } = loading.canvas.size;
  const length = channels * height * width;
  const { pixels } = loading.canvas;
  for (const [to, { slot }] of kept.entries())
    pixels.copyWithin(to * length, slot * length, (slot + 1) * length);
  const indices = Int32Array.from(kept, ({ index }) => index);
  const labels = indices.map((index) => labelOf(options.dataset, index));
  const images = pixels.subarray(0, kept.length * length);
  return { size: kept.length, channels, height, width, images, labels, indices };
}

const EMPTY: Batch = {
  size: 0,
  channels: 0,
  height: 0,
  width: 0,
  images: new Uint8Array(0),
  labels: new Int32Array(0),
  indices: new Int32Array(0),
};

/** Maximum number of replacements that are tried for an image. */
const TRIES = 10;

/** Fills all slots. @returns by slot, the index of the image that replaces an unreadable one */
async function fillAll(
  { dataset, indices, replacement }: BatchOptions,
  loading: Loading,
  slots: readonly Slot[],
): Promise<Map<number, number>> {
  const replaced = new Map<number, number>();
  let failures = await fill(loading, slots);
  for (let tries = 0; failures.length > 0; tries++) {
    const fatal = failures.find(
      ({ isUnreadable }) => replacement === undefined || tries === TRIES || !isUnreadable,
    );
    if (fatal !== undefined) throw fatal.error;
    if (failures.length > Math.max(1, indices.length / 10)) throw tooMany(failures, indices.length);
    const next: Slot[] = [];
    for (const {
      slot: { slot, index },
      error,
    } of failures) {
      replacement?.onReplaced?.(dataset.describe(index), error);
      const other = replacement?.instead(slot, tries) ?? index;
      replaced.set(slot, other);
      next.push(slotOf(dataset, slot, other));
    }
    failures = await fill(loading, next);
  }
  return replaced;
}

function slotOf(dataset: Dataset, slot: number, index: number): Slot {
  return { slot, index, source: sourceOf(dataset, index) };
}

function tooMany(failures: readonly Failure[], size: number): InputError {
  const [{ error }] = failures;
  return new InputError(
    `${failures.length} of the ${size} images of a batch cannot be read; for example ${error.message}`,
    {
      hint: 'Too many to skip. Restore the files, or check their disk.',
      cause: error,
    },
  );
}

function batchOf(
  { dataset, indices }: BatchOptions,
  { canvas, erased }: Loading,
  replaced: ReadonlyMap<number, number>,
): Batch {
  const { channels, height, width } = canvas.size;
  const shown = indices.map((index, slot) => replaced.get(slot) ?? index);
  const boxes = [...erased].map(([slot, box]) => ({ ...box, slot })).sort((a, b) => a.slot - b.slot);
  return {
    size: indices.length,
    channels,
    height,
    width,
    images: canvas.pixels,
    labels: shown.map((index) => labelOf(dataset, index)),
    indices: shown,
    ...(boxes.length > 0 && { erased: boxes }),
    ...(replaced.size > 0 && { replaced: [...replaced.keys()].sort((a, b) => a - b) }),
  };
}

/** Settings for making training batches. */
export interface TrainBatchOptions {
  readonly dataset: Dataset;
  /** Default: images are not changed. */
  readonly transform?: Transform;
  /** Draws the part of a transformed image to erase, from the same stream, after the transform. */
  readonly erase?: (size: Size, random: RandomStream) => Box | undefined;
  /** Draws how the batch of transformed images is mixed. */
  readonly mix?: (size: Size, random: RandomStream) => Mix | undefined;
  readonly seed: number;
  /** `PT`, `MT/0` ...; each phase has a different order and augmentation. */
  readonly phase: string;
  /** Number of views of an image per epoch, which then has only some of the images, see `repeatedOrder`. Default 1. */
  readonly repeats?: number;
  /** What changes with the steps of the optimiser, counted from 0. Default: nothing. */
  readonly atStep?: (step: number) => StepImages;
  /**
   * `balanced`: each epoch draws its images with replacement, every class equally often, see `balancedOrder`. Default `uniform`:
   * each image once.
   */
  readonly sampling?: 'uniform' | 'balanced';
  /** `replace`: an image that cannot be read is replaced by another. Default `fail`. */
  readonly onBadImage?: 'fail' | 'replace';
  readonly onReplaced?: Replacement['onReplaced'];
}

/** What a curriculum changes at a step. */
export interface StepImages {
  /** Replaces the transform of all steps. */
  readonly transform?: Transform | undefined;
  readonly shrink?: Shrink | undefined;
}

type Size = Pick<Box, 'width' | 'height'>;

/** The position of a batch in its phase, and its images. */
export interface Place {
  readonly epoch: number;
  readonly step: number;
  /** Step of the optimiser that the batch belongs to. */
  readonly update: number;
  readonly indices: Int32Array;
  readonly views: Uint8Array | Uint32Array;
}

/** @throws InputError as `loadBatch` */
export function loadTrainBatch(
  options: TrainBatchOptions,
  { epoch, step, update, indices, views }: Place,
  signal: AbortSignal,
): Batch | Promise<Batch> {
  const { dataset, erase, mix, seed, phase, repeats = 1, sampling, atStep } = options;
  const { shrink, transform = options.transform ?? (() => []) } = atStep?.(update) ?? {};
  const keyOf = (what: string, index: number, slot: number): RandomKey => [
    ...[seed, what, phase, epoch, index],
    ...(repeats > 1 || sampling === 'balanced' ? [views[slot]] : []),
  ];
  const batch = loadBatch({
    dataset,
    indices,
    signal,
    plan: (size, { slot, index }) => {
      const random = lazyStream(keyOf('augment', index, slot));
      const program = transform(size, random);
      return { program, erased: erase?.(sizeAfter(size, program), random) };
    },
    replacement: replacementOf(options, (slot) => keyOf('replace', indices[slot], slot)),
  });
  const finish = (made: Batch): Batch => ({
    ...made,
    ...(made.erased && { noiseKey: [seed, 'noise', phase, step] }),
    ...(mix && { mix: mix(made, randomStream([seed, 'mix', phase, step])) }),
    ...(shrink && { shrink }),
  });
  return batch instanceof Promise ? batch.then(finish) : finish(batch);
}

/** Random other images of the data set, drawn from a separate stream for each slot. */
function replacementOf(
  { dataset, onBadImage, onReplaced }: TrainBatchOptions,
  keyOf: (slot: number) => RandomKey,
): Replacement | undefined {
  if (onBadImage !== 'replace') return undefined;
  const streams = new Map<number, RandomStream>();
  return {
    onReplaced,
    instead: (slot) => {
      const stream = streams.get(slot) ?? randomStream(keyOf(slot));
      streams.set(slot, stream);
      return stream.integer(0, dataset.length - 1);
    },
  };
}

/** A stream that is made on the first draw: not every transform draws, and seeding computes a hash. */
function lazyStream(key: RandomKey): RandomStream {
  let made: RandomStream | undefined;
  const stream = () => {
    made ??= randomStream(key);
    return made;
  };
  return { uniform: () => stream().uniform(), integer: (low, high) => stream().integer(low, high) };
}
