import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { availableCores } from '../../base/cores.js';
import { InputError } from '../../base/errors.js';
import { requireWhole } from '../../base/numbers.js';
import { setImageThreads } from '../../torch/images.js';
import type { Batch, Dataset } from '../dataset.js';
import type { FixedTransform } from '../transforms/transform.js';
import { loadBatch, loadTrainBatch, type OnSkipped, type Place, type TrainBatchOptions } from './batch.js';
import {
  balancedOrder,
  epochOrder,
  indicesByClass,
  type RepeatedOrder,
  repeatedOrder,
  viewNumbers,
} from './sampler.js';

interface InOrderOptions<Item> {
  readonly from: number;
  /** The last step is `to - 1`. */
  readonly to: number;
  /** Number of pending promises, in addition to the consumer's current item. */
  readonly ahead: number;
  /** The signal is aborted when no more items are needed. */
  readonly load: (step: number, signal: AbortSignal) => Item | Promise<Item>;
}

/**
 * Yields the results of `load` for from ... to-1, in order. If `load` returns promises, up to `ahead` of them are started in
 * advance; otherwise each item is made on request. If the consumer stops, pending loads are aborted.
 */
async function* inOrder<Item>({ from, to, ahead, load }: InOrderOptions<Item>): AsyncGenerator<Item> {
  const abort = new AbortController();
  const queue: Promise<Item>[] = [];
  let next = from;
  let promises = false;
  try {
    while (next < to || queue.length > 0) {
      // Steps may be synchronous. Without an event loop turn between them, pending loads could not complete, and no signals or
      // timers would be handled.
      await eventLoopTurn();
      const loading = queue.shift() ?? load(next++, abort.signal);
      promises ||= loading instanceof Promise;
      while (promises && next < to && queue.length < ahead) {
        queue.push(started(load, next++, abort.signal));
      }
      yield await loading;
    }
  } finally {
    abort.abort();
  }
}

/** Starts a load. Its failure is reported when it is awaited, and ignored if the consumer stops before that. */
function started<Item>(load: InOrderOptions<Item>['load'], step: number, signal: AbortSignal): Promise<Item> {
  const item = (async () => load(step, signal))();
  item.catch(() => {});
  return item;
}

interface LoaderOptions {
  readonly dataset: Dataset;
  /** Number of images in a batch. */
  readonly batchSize: number;
  /** Number of threads that read and decode. Default: one per core. */
  readonly workers?: number;
  /** Number of batches that are loaded ahead of the consumer. Default 4. */
  readonly prefetch?: number;
}

/** Makes the training batch of a place. */
export type MakeTrainBatch = (
  options: TrainBatchOptions,
  place: Place,
  signal: AbortSignal,
) => Batch | Promise<Batch>;

/** Makes the evaluation batch of some images. */
export type MakeEvalBatch = (
  dataset: Dataset,
  indices: Int32Array,
  signal: AbortSignal,
) => Batch | Promise<Batch>;

export interface TrainBatchesOptions extends LoaderOptions, TrainBatchOptions {
  /** Number of batches that belong together; the number of batches in an epoch is a multiple of it. Default 1. */
  readonly accumulate?: number;
  /** The number of processes that share these batches, and the rank of this process. Default: one process. */
  readonly share?: { readonly rank: number; readonly size: number };
  /** First step to load, counted from 0; a resumed run starts here. Default 0. */
  readonly fromStep?: number;
  /** Number of steps in the whole phase. The last batch is for step `steps - 1`. */
  readonly steps: number;
  /** Default true. */
  readonly shuffle?: boolean;
  /** Default: `loadTrainBatch`, which applies `transform`, `erase` and `mix`. */
  readonly makeBatch?: MakeTrainBatch | undefined;
}

/**
 * The batches of steps `fromStep` ... `steps - 1`. Each epoch visits the images once, in a different order (unless `sampling` is
 * `balanced`), and drops the last partial batch. A batch depends only on data set, batch size, seed, phase and step, not on `workers`, `prefetch` or the step
 * at which a run was resumed. If processes share the `accumulate` batches that belong together, each process gets
 * `accumulate` / `size` consecutive batches, selected by its rank.
 *
 * Files are read, decoded and transformed on the addon's threads, even while a step blocks this thread. Memory has the batches
 * loaded ahead, the files of batches that are waiting, and one image per thread. Images that are in memory and need no
 * transform are assembled on request.
 *
 * @throws InputError if the data set is smaller than a batch, the batches cannot be shared evenly, or a number of images,
 *   steps or threads is invalid; when iterated, if an image is invalid.
 *
 * @example
 * const { train: dataset, val } = openDataset({ format: 'folder', path: 'images' });
 * for await (const batch of trainBatches({ dataset, batchSize: 4, seed: 0, phase: 'PT', steps: 2 })) {
 *   console.log(batch.size, batch.labels);
 * }
 */
export function trainBatches(options: TrainBatchesOptions): AsyncIterable<Batch> {
  const { batchSize, fromStep = 0, steps, accumulate = 1, share = { rank: 0, size: 1 } } = options;
  for (const [name, value] of Object.entries({ fromStep, steps })) requireWhole(name, value, 0);
  for (const [name, value] of Object.entries({ batchSize, accumulate })) requireWhole(name, value, 1);
  const each = evenShare(accumulate, batchSize, share.size);
  const stepsPerEpoch = accumulate * stepsPerEpochOf(options, batchSize * accumulate);
  let epochOfOrder = -1;
  let order: RepeatedOrder;

  const load = (step: number, signal: AbortSignal) => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (epoch !== epochOfOrder) {
      order = orderOf(options, epoch);
      epochOfOrder = epoch;
    }
    const start = (step % stepsPerEpoch) * batchSize;
    const indices = order.indices.slice(start, start + batchSize);
    const views = order.views.slice(start, start + batchSize);
    const update = Math.floor(step / accumulate);
    return (options.makeBatch ?? loadTrainBatch)(options, { epoch, step, update, indices, views }, signal);
  };
  // Converts a position among this process's batches to a step.
  const stepOf = (own: number) => Math.floor(own / each) * accumulate + share.rank * each + (own % each);
  return onThreads(options, {
    from: fromStep / share.size,
    to: steps / share.size,
    load: (own, signal) => load(stepOf(own), signal),
  });
}

/**
 * Number of micro-batches per process in a step of `accumulate` micro-batches.
 * @throws InputError if they cannot be divided evenly
 */
export function evenShare(accumulate: number, batchSize: number, processes: number): number {
  if (accumulate % processes === 0) return accumulate / processes;
  throw new InputError(
    `a step of ${accumulate} micro-batches of ${batchSize} images cannot be divided evenly among ${processes} processes`,
    {
      hint: `set training.total_batch to a multiple of ${processes} x batch_size, or lower batch_size`,
    },
  );
}

function orderOf(
  { dataset, seed, phase, shuffle = true, repeats = 1, sampling }: TrainBatchesOptions,
  epoch: number,
): RepeatedOrder {
  if (sampling === 'balanced') {
    const drawn = balancedOrder(indicesByClass(dataset), dataset.length, { seed, phase, epoch });
    const { indices } =
      repeats === 1 ? { indices: drawn } : repeatedOrder(drawn, { repeats, replicas: 1, rank: 0 });
    return { indices, views: viewNumbers(indices) };
  }
  const order = epochOrder(dataset.length, { seed, phase, epoch, shuffle });
  if (repeats === 1) return { indices: order, views: new Uint8Array(order.length) };
  return repeatedOrder(order, { repeats, replicas: 1, rank: 0 });
}

/**
 * Number of batches in a training epoch: its images / batchSize, rounded down.
 *
 * @throws InputError if an epoch has fewer images than a batch.
 */
function stepsPerEpochOf(options: TrainBatchesOptions, batchSize: number): number {
  const { length } = orderOf({ ...options, shuffle: false, sampling: 'uniform' }, 0).indices;
  if (length < batchSize) {
    throw new InputError(`a batch of ${batchSize} images is larger than the data set (${length} images)`, {
      hint: `Use a batch size of at most ${length}, or more images.`,
    });
  }
  return Math.floor(length / batchSize);
}

export interface EvalBatchesOptions extends LoaderOptions {
  /** Default: images are not changed. */
  readonly transform?: FixedTransform;
  /**
   * Called with the index of each image that cannot be read or transformed, which is then left out of its batch. A batch may
   * have size 0. If absent, such an image is an error.
   */
  readonly onSkipped?: OnSkipped;
  /** Default: the images are transformed. */
  readonly makeBatch?: MakeEvalBatch | undefined;
}

/**
 * All images in the data set's order; the last batch may be short.
 *
 * @throws InputError if a number of images or threads is invalid; when iterated, if an image is invalid.
 *
 * @example
 * const { train: dataset, val } = openDataset({ format: 'folder', path: 'images' });
 * for await (const batch of evalBatches({ dataset: val, batchSize: 3 })) console.log(batch.size, dataset.classes);
 */
export function evalBatches(options: EvalBatchesOptions): AsyncIterable<Batch> {
  const { dataset, batchSize, transform = () => [], onSkipped, makeBatch } = options;
  requireWhole('batchSize', batchSize, 1);
  const load = (step: number, signal: AbortSignal) => {
    const start = step * batchSize;
    const length = Math.min(batchSize, dataset.length - start);
    const indices = Int32Array.from({ length }, (_, i) => start + i);
    if (makeBatch !== undefined) return makeBatch(dataset, indices, signal);
    return loadBatch({ dataset, indices, signal, plan: (size) => ({ program: transform(size) }), onSkipped });
  };
  return onThreads(options, { from: 0, to: Math.ceil(dataset.length / batchSize), load });
}

function onThreads(
  { workers = availableCores(), prefetch: ahead = 4 }: LoaderOptions,
  steps: Omit<InOrderOptions<Batch>, 'ahead'>,
): AsyncIterable<Batch> {
  requireWhole('workers', workers, 1);
  requireWhole('prefetch', ahead, 0);
  return (async function* () {
    setImageThreads(workers);
    yield* inOrder({ ...steps, ahead });
  })();
}
