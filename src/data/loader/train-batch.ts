import { type RandomKey, type RandomStream, randomStream } from '../../base/random.js';
import type { Batch, Box, Dataset, Mix } from '../dataset.js';
import { sizeAfter, type Transform } from '../transforms/transform.js';
import { loadBatch, type Replacement } from './batch.js';

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
  /** `replace`: an image that cannot be read is replaced by another. Default `fail`. */
  readonly onBadImage?: 'fail' | 'replace';
  readonly onReplaced?: Replacement['onReplaced'];
}

type Size = Pick<Box, 'width' | 'height'>;

/** The position of a batch in its phase, and its images. */
export interface Place {
  readonly epoch: number;
  readonly step: number;
  readonly indices: Int32Array;
  readonly views: Uint8Array;
}

/** @throws InputError as `loadBatch` */
export function loadTrainBatch(
  options: TrainBatchOptions,
  { epoch, step, indices, views }: Place,
  signal: AbortSignal,
): Batch | Promise<Batch> {
  const { dataset, transform = () => [], erase, mix, seed, phase, repeats = 1 } = options;
  const keyOf = (what: string, index: number, slot: number): RandomKey => [
    ...[seed, what, phase, epoch, index],
    ...(repeats > 1 ? [views[slot]] : []),
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
