import { type RandomKey, type RandomStream, randomStream } from '../../base/random.js';
import type { Batch, Box, Dataset, Mix } from '../dataset.js';
import { sizeAfter, type Transform } from '../transforms/transform.js';
import { loadBatch, type Replacement } from './batch.js';

/** What makes a batch of training of some images. */
export interface TrainBatchOptions {
  readonly dataset: Dataset;
  /** Default: images stay as they are. */
  readonly transform?: Transform;
  /** The part of a transformed image to be erased. It draws on from where the transform stopped. */
  readonly erase?: (size: Size, random: RandomStream) => Box | undefined;
  /** How the batch of transformed images is mixed. */
  readonly mix?: (size: Size, random: RandomStream) => Mix | undefined;
  readonly seed: number;
  /** `PT`, `MT/0` ...: phases see their own order and augmentation. */
  readonly phase: string;
  /** Views of each image in an epoch, which then has a part of the images only: see `repeatedOrder`. Default 1. */
  readonly repeats?: number;
  /** `replace`: another image takes the place of one that cannot be read. Default `fail`. */
  readonly onBadImage?: 'fail' | 'replace';
  readonly onReplaced?: Replacement['onReplaced'];
}

type Size = Pick<Box, 'width' | 'height'>;

/** Where a batch is in its phase, and what it shows. */
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

/** Others of the data set, at random, each slot's by its own stream. */
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

/** A stream that is made when first drawn from: not every transform draws, and a key takes a hash. */
function lazyStream(key: RandomKey): RandomStream {
  let made: RandomStream | undefined;
  const stream = () => {
    made ??= randomStream(key);
    return made;
  };
  return { uniform: () => stream().uniform(), integer: (low, high) => stream().integer(low, high) };
}
