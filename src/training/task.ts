import type { Batch } from '../data/dataset.js';
import type { AnnotatedImage, AnnotatedObject, CocoRle } from '../data/objects.js';
import type { TaskMetrics } from '../run/metric.js';
import type { Tensor } from '../torch/tensor.js';

/**
 * The task that a model is trained for: its input, its loss and its metrics. Each task defines `Target`, a tensor or a plain
 * object of tensors; the training loop only passes it on. `Output` is what the model returns in training, if that is more than
 * it returns in evaluation.
 */
export interface Task<Target = unknown, Output = Tensor> {
  readonly metrics: TaskMetrics;
  /** The model's input and the task's target, on the device, from a batch of data. */
  prepare(batch: Batch): { readonly input: Tensor; readonly target: Target };
  /** The mean training loss over a batch: one element. */
  loss(output: Output, target: Target): Tensor;
  /**
   * The output that is scored, if it is not one forward pass of `input`: an image may be evaluated in parts and at several
   * scales.
   * @param forward `target`: for a head that needs it, see `Pass.target`
   */
  infer?(
    batch: Batch,
    forward: (input: Tensor, target?: unknown) => Tensor,
  ): { readonly output: Tensor; readonly target: Target };
  /** Sums over the images of a batch, by name: the loss, and the values that `summarize` needs. */
  score(output: Tensor, target: Target): Score;
  /** The value of every metric, by name, from the sums over all `images` images. */
  summarize(sums: Sums, images: number): Readonly<Record<string, number>>;
  /** Starts to collect what metrics need that are not sums over images. */
  collect?(): Collection<Target>;
  /**
   * The `top` (default 3) most likely classes of each image of a batch; absent for tasks without classes. The lists may be
   * getters that wait for a GPU, so that the caller can queue more work first.
   */
  predict?(output: Tensor, target: Target, top?: number): Predictions;
  /** The class of each pixel of a batch, image by image; absent for tasks that do not label pixels. */
  labelMap?(output: Tensor): Uint8Array;
  /** What was found in each image of a batch; absent for tasks that do not find objects. */
  findings?(target: Target): readonly ImageFindings[];
  /** The scores of each class, by label, from the sums over all images; absent for tasks that do not label pixels. */
  classScores?(sums: Sums): readonly ClassOverlap[];
}

/** How well the pixels of a class are predicted, in percent; NaN if it is not defined. */
export interface ClassOverlap {
  readonly class: number;
  readonly iou: number;
  readonly acc: number;
  /** Number of labelled pixels. */
  readonly pixels: number;
}

/** The objects of an image at its own size, and those that were found in it, best first. */
export interface ImageFindings {
  readonly image: AnnotatedImage;
  readonly found: readonly (Pick<AnnotatedObject, 'label' | 'box'> & {
    readonly score: number;
    readonly segmentation: CocoRle;
  })[];
}

/** AP of a class in percent; NaN if it has no objects that count. */
export interface ClassPrecision {
  readonly class: number;
  /** Of boxes, and of masks. */
  readonly ap: number;
  readonly maskAp: number;
  readonly objects: number;
}

/** What an evaluation collects for metrics that are not sums over images. */
export interface Collection<Target = unknown> {
  /** Called for every batch, in order. */
  add(output: Tensor, target: Target): void;
  /** The values of metrics, by name, from everything that was added. */
  summarize(): Readonly<Record<string, number>>;
  /** The scores of each class, by label, from everything that was added; absent for tasks that do not find objects. */
  classPrecisions?(): readonly ClassPrecision[];
}

/** The k most likely classes of each image in a batch of B. */
export interface Predictions {
  readonly k: number;
  /** [B]. */
  readonly labels: Int32Array;
  /** [B, k], most likely first. */
  readonly classes: Int32Array;
  /** [B, k], from the softmax. */
  readonly probabilities: Float64Array;
  /** [B, k]. */
  readonly logits: Float64Array;
}

/** Sums over images, by name. */
export type Sums = Readonly<Record<string, number>> & { readonly loss: number };

/** Sums over the images of a batch, by name: numbers, or tensors of one element, which need not be ready yet. */
export type Score = Readonly<Record<string, number | Tensor>> & { readonly loss: number | Tensor };
