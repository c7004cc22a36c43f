import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { InputError } from '../base/errors.js';
import { randomStream } from '../base/random.js';
import { loadBatch } from './batch.js';
import type { Batch, Dataset } from './dataset.js';
import { epochOrder } from './sampler.js';
import type { FixedTransform, Transform } from './transform.js';

export interface TrainBatchesOptions {
  readonly dataset: Dataset;
  /** Images of one batch. */
  readonly batchSize: number;
  /** Batches that belong together: an epoch is a whole multiple of them. Default 1. */
  readonly accumulate?: number;
  readonly transform: Transform;
  readonly seed: number;
  /** `PT`, `MT/0` ...: phases see their own order and augmentation. */
  readonly phase: string;
  /** First step to load, from 0: where a resumed run goes on. */
  readonly fromStep: number;
  /** Steps of the whole phase: the last batch is that of step `steps - 1`. */
  readonly steps: number;
  /** Batches being decoded ahead of the consumer. Default 4. */
  readonly prefetch?: number;
  readonly shuffle: boolean;
}

/**
 * The batches of steps `fromStep` ... `steps - 1`. Each epoch visits the images once, in its own
 * order, and drops the last partial batch. A batch is a function of (data set, batch size, seed,
 * phase, step): not of where a run was resumed, nor of `prefetch`.
 *
 * Images that must be decoded are queued `prefetch` batches ahead, so that libuv's threads decode
 * while a step blocks this one; at most prefetch x batchSize decoded images are held. Images in
 * memory are put together when asked for.
 *
 * @throws InputError if the data set is smaller than a batch; when iterated, if an image is at fault.
 */
export function trainBatches(options: TrainBatchesOptions): AsyncIterable<Batch> {
  const { dataset, batchSize, transform, seed, phase, fromStep, steps, prefetch = 4, shuffle } = options;
  const accumulate = options.accumulate ?? 1;
  const stepsPerEpoch = accumulate * stepsPerEpochOf(dataset, batchSize * accumulate);
  let epochOfOrder = -1;
  let order: Int32Array = new Int32Array(0);

  return inOrder(fromStep, steps, prefetch, (step) => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (epoch !== epochOfOrder) {
      order = epochOrder(dataset.length, { seed, phase, epoch, shuffle });
      epochOfOrder = epoch;
    }
    const start = (step % stepsPerEpoch) * batchSize;
    return loadBatch(dataset, order.slice(start, start + batchSize), (image, index) =>
      transform(image, randomStream([seed, 'augment', phase, epoch, index])),
    );
  });
}

/**
 * Batches in an epoch of training: length / batchSize, rounded down.
 *
 * @throws InputError if the data set is smaller than a batch.
 */
function stepsPerEpochOf(dataset: Dataset, batchSize: number): number {
  if (dataset.length < batchSize) {
    throw new InputError(
      `a batch of ${batchSize} images is more than the ${dataset.length} of the data set`,
      {
        hint: `Use a batch size of at most ${dataset.length}, or more images.`,
      },
    );
  }
  return Math.floor(dataset.length / batchSize);
}

export interface EvalBatchesOptions {
  readonly dataset: Dataset;
  readonly batchSize: number;
  readonly transform: FixedTransform;
  /** Batches being decoded ahead of the consumer. Default 4. */
  readonly prefetch?: number;
}

/**
 * All images in the data set's order; the last batch may be short.
 *
 * @throws InputError when iterated, if an image is at fault.
 */
export function evalBatches(options: EvalBatchesOptions): AsyncIterable<Batch> {
  const { dataset, batchSize, transform, prefetch = 4 } = options;
  return inOrder(0, Math.ceil(dataset.length / batchSize), prefetch, (step) => {
    const start = step * batchSize;
    const length = Math.min(batchSize, dataset.length - start);
    const indices = Int32Array.from({ length }, (_, i) => start + i);
    return loadBatch(dataset, indices, (image) => transform(image));
  });
}

/** What `load` gives for from ... to-1, in order; where it promises, with `ahead` promises under way. */
async function* inOrder(
  from: number,
  to: number,
  ahead: number,
  load: (step: number) => Batch | Promise<Batch>,
): AsyncGenerator<Batch> {
  const queue: Promise<Batch>[] = [];
  let next = from;
  let promises = false;
  while (next < to || queue.length > 0) {
    // Steps may be synchronous: without a turn of the event loop between them, nothing decoded
    // would arrive, and no signal or timer.
    await eventLoopTurn();
    const loading = queue.shift() ?? load(next++);
    promises ||= loading instanceof Promise;
    const batch = await loading;
    while (promises && next < to && queue.length < ahead) {
      const step = next++;
      queue.push(started(() => load(step)));
    }
    yield batch;
  }
}

/** Starts a load whose failure shows when it is awaited, and nowhere if the consumer stops before. */
function started(load: () => Batch | Promise<Batch>): Promise<Batch> {
  const batch = (async () => load())();
  batch.catch(() => {});
  return batch;
}
