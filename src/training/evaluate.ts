import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { RunError } from '../base/errors.js';
import type { Batch } from '../data/dataset.js';
import type { Pass } from '../models/staged.js';
import { noGrad } from '../torch/autograd.js';
import { readLater } from '../torch/later.js';
import { inPrecision, type Precision } from '../torch/precision.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { Tensor } from '../torch/tensor.js';
import type { Collection, Predictions, Score, Sums, Task } from './task.js';

/**
 * The task's metrics by name, and the mean loss, over all images. Batches are weighted by size, so a short last batch counts
 * less.
 */
export type Evaluation = Readonly<Record<string, number>> & {
  readonly loss: number;
  readonly images: number;
};

export interface EvaluateOptions {
  readonly model: { forward(x: Tensor, pass: Pass): Tensor };
  readonly task: Task;
  readonly batches: AsyncIterable<Batch>;
  /** Default float32. */
  readonly precision?: Precision;
  /** Default cpu. */
  readonly device?: string;
  /** Number of predictions of each image for `onPredicted`. Default 3. */
  readonly top?: number | undefined;
  /** Called with the predictions for every batch, in order, if the task supports predictions. */
  readonly onPredicted?: (batch: Batch, predictions: Predictions) => void;
  /** Called with output and target for every batch, in order. Both are freed afterwards. */
  readonly onOutput?: (batch: Batch, output: Tensor, target: unknown) => void;
  /** Default: what the task collects. */
  readonly collection?: Collection | undefined;
  /** Called with the sums over the images of every batch, in order. */
  readonly onScored?: (sums: Sums, images: number) => void;
}

/**
 * Scores a model on every image of `batches`, without drop path.
 * @throws RunError if there are no images
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const task = classification({ channels: 3, classes: 2, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], device: 'cpu' });
 * const { train: dataset, val } = openDataset({ format: 'folder', path: 'images' });
 * const { loss, images } = await evaluate({ model, task, batches: evalBatches({ dataset: val, batchSize: 4 }) });
 * console.log(loss, images, dataset.length);
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { task, onPredicted, onOutput, onScored, top, collection = task.collect?.() } = options;
  const forward = forwardPass(options);
  const totals = new Map<string, number>();
  let images = 0;
  const add = ({ batch, predictions, sums }: Scored) => {
    if (predictions !== undefined) onPredicted?.(batch, predictions);
    const read = sums();
    onScored?.(read, batch.size);
    for (const [name, sum] of Object.entries(read)) totals.set(name, (totals.get(name) ?? 0) + sum);
    images += batch.size;
  };
  // A GPU computes a batch while the previous one's score and predictions are read.
  let previous: Scored | undefined;
  for await (const batch of options.batches) {
    // As in training: otherwise no timers or signals are handled until the end.
    await eventLoopTurn();
    const scored = scope(() =>
      noGrad(() => {
        const { output, target } = task.infer?.(batch, forward) ?? onePass(task, batch, forward);
        onOutput?.(batch, output, target);
        const predictions = onPredicted === undefined ? undefined : task.predict?.(output, target, top);
        collection?.add(output, target);
        return { batch, predictions, sums: readScore(task.score(output, target)) };
      }),
    );
    if (previous !== undefined) add(previous);
    previous = scored;
  }
  if (previous !== undefined) add(previous);
  if (images === 0) throw new RunError('no images to evaluate on');
  const sums = { ...Object.fromEntries(totals), loss: totals.get('loss') ?? Number.NaN };
  return { ...task.summarize(sums, images), ...collection?.summarize(), loss: sums.loss / images, images };
}

function onePass(task: Task, batch: Batch, forward: Forward) {
  const { input, target } = task.prepare(batch);
  return { output: forward(input, target), target };
}

/** The forward pass of an evaluation: without drop path, in the given precision. */
export function forwardPass({
  model,
  precision = 'float32',
  device = 'cpu',
}: Pick<EvaluateOptions, 'model' | 'precision' | 'device'>): Forward {
  // Evaluation draws no random numbers.
  const pass = { training: false, generator: new Generator(), key: [] };
  return (input, target) => inPrecision(precision, device, () => model.forward(input, { ...pass, target }));
}

type Forward = (input: Tensor, target?: unknown) => Tensor;

/** A batch whose score and predictions are being read. */
interface Scored {
  readonly batch: Batch;
  readonly predictions: Predictions | undefined;
  readonly sums: () => Sums;
}

/**
 * Starts to read a score without waiting for a GPU.
 * @returns a function that waits for it
 *
 * @example
 * const sums = readScore({ loss: ones([]), hits: 1 });
 * sums(); // { loss: 1, hits: 1 }
 */
export function readScore(score: Score): () => Sums {
  const entries = Object.entries(score);
  const later = readLater(entries.map(([, value]) => value).filter((value) => value instanceof Tensor));
  return () => {
    const read = [...later.values()];
    const sums = entries.map(([name, value]) => [name, value instanceof Tensor ? read.shift() : value]);
    return Object.fromEntries(sums);
  };
}
