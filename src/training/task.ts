import type { Batch } from '../data/loader/batch.js';
import type { TaskMetrics } from '../run/metric.js';
import type { Tensor } from '../torch/tensor.js';

/**
 * What a model is trained for: what it takes, its loss, and how it is judged. `Target` is the task's own, a tensor
 * or a plain object of some: the loop only hands it on.
 */
export interface Task<Target = unknown> {
  readonly metrics: TaskMetrics;
  /** The model's input and the task's target, on the device, from a batch of data. */
  prepare(batch: Batch): { readonly input: Tensor; readonly target: Target };
  /** The mean training loss over a batch: one element. */
  loss(output: Tensor, target: Target): Tensor;
  /** Sums over the images of a batch, by name: the loss, and what `summarize` needs. */
  score(output: Tensor, target: Target): Score;
  /** The value of every metric, by name, from the sums over all `images` images. */
  summarize(sums: Score, images: number): Readonly<Record<string, number>>;
  /** What the model takes each image of a batch for; left out by tasks that know no classes. */
  predict?(output: Tensor, target: Target): Predictions;
}

/** Of a batch of B images, the likeliest k classes of each. */
export interface Predictions {
  readonly k: number;
  /** [B]. */
  readonly labels: Int32Array;
  /** [B, k], the likeliest first. */
  readonly classes: Int32Array;
  /** [B, k], of the softmax. */
  readonly probabilities: Float64Array;
}

/** Sums over images, by name. */
export type Score = Readonly<Record<string, number>> & { readonly loss: number };
