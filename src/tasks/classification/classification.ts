import { InputError } from '../../base/errors.js';
import type { Batch } from '../../data/dataset.js';
import {
  binaryCrossEntropy,
  crossEntropy,
  equal,
  mean,
  mul,
  reshape,
  slice,
  sum,
  to,
  topIndices,
  unbind,
} from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import type { Task } from '../../training/task.js';
import { type InputOptions, imageInput } from '../input/image-input.js';
import { denseTargets, requireTargets, type TargetOptions } from './class-target.js';
import { classificationMetrics } from './metrics.js';
import { predictionsOf } from './predictions.js';

/** Converts bfloat16 outputs to float32, in which the loss is computed. */
export function widened(output: Tensor): Tensor {
  return output.dtype === 'BF16' ? to(output, { dtype: 'F32' }) : output;
}

/**
 * The heads of a model's output: the class head first, the distillation head last. An output [B, classes] has one head;
 * an output [B, 2, classes], of a distilled model (DeiT), has two.
 * @returns the logits of each head, [B, classes]
 */
export function headsOf(logits: Tensor): Tensor[] {
  return logits.shape.length === 3 ? unbind(logits, 1) : [logits];
}

/** The logits that are evaluated: the mean over the model's heads, [B, classes]. */
export function logitsToScore(logits: Tensor): Tensor {
  return logits.shape.length === 3 ? mean(logits, 1) : logits;
}

export interface ClassificationOptions extends InputOptions, TargetOptions {
  readonly dtype?: 'F32' | 'F64';
}

/** The label of each image and, for a mixed batch or binary cross-entropy, the target of every class. */
export interface ClassTarget {
  /** I64 [B]. */
  readonly labels: Tensor;
  /** [B, classes], with label smoothing and threshold applied. */
  readonly soft?: Tensor;
}

/**
 * Single-label classification: cross-entropy or binary cross-entropy, top-1 and top-5 accuracy. The score's loss is always
 * the cross-entropy of the labels. For a distilled model with two heads, [B, 2, classes], the loss trains the class head;
 * evaluation uses the mean of both heads.
 *
 * @throws InputError unless mean and std have one number per channel, every std is above 0, and the targets are valid (see
 *   `requireTargets`); later, if images, labels or logits do not match the options
 *
 * @example
 * const task = classification({ channels: 3, classes: 2, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], device: 'cpu' });
 * const { train: dataset, val } = openDataset({ format: 'folder', path: 'images' });
 * for await (const batch of evalBatches({ dataset: val, batchSize: 4 })) {
 *   console.log(task.prepare(batch).input.shape, dataset.length); // [4, 3, 16, 16]
 * }
 */
export function classification(options: ClassificationOptions): Task<ClassTarget> {
  const { classes, labelSmoothing = 0, device, dtype = 'F32', loss = 'cross-entropy' } = options;
  requireTargets(options);
  const { classWeights } = options;
  const weights =
    classWeights === undefined || classWeights === null
      ? null
      : upload(
          fromArray(dtype === 'F32' ? Float32Array.from(classWeights) : Float64Array.from(classWeights), [
            classes,
          ]),
          device,
        );
  const inputOf = imageInput(options);

  return {
    metrics: classificationMetrics(classes),

    prepare(batch) {
      checkBatch(batch, classes);
      return scope(() => {
        const pixels = inputOf(batch);
        const input = dtype === 'F32' ? pixels : to(pixels, { dtype });
        const labels = upload(fromArray(BigInt64Array.from(batch.labels, BigInt), [batch.size]), device);
        if (batch.mix === undefined && loss === 'cross-entropy') return { input, target: { labels } };
        const values = denseTargets(batch.labels, batch.mix?.lambda ?? 1, options);
        const typed = dtype === 'F32' ? Float32Array.from(values) : values;
        return { input, target: { labels, soft: upload(fromArray(typed, [batch.size, classes]), device) } };
      });
    },

    loss(logits, { labels, soft }) {
      const [head] = headsOf(widened(logits));
      requireClasses(head, classes);
      if (loss === 'bce') return binaryCrossEntropy(head, soft as Tensor);
      return soft === undefined
        ? crossEntropy(head, labels, labelSmoothing, weights)
        : crossEntropy(head, soft, 0, weights);
    },

    score(logits, { labels }) {
      const exact = logitsToScore(to(logits, { dtype: 'F64' }));
      requireClasses(exact, classes);
      const hits = equal(topIndices(exact, Math.min(5, classes)), reshape(labels, [-1, 1]));
      return {
        loss: mul(crossEntropy(exact, labels), labels.shape[0]),
        top1: sum(slice(hits, 1, 0, 1)),
        top5: sum(hits),
      };
    },

    summarize: ({ top1, top5 }, images) => ({ top1: (100 * top1) / images, top5: (100 * top5) / images }),

    predict(logits, { labels }, top) {
      return scope(() => predictionsOf(logitsToScore(to(logits, { dtype: 'F64' })), labels, top));
    },
  };
}

/** @param logits [B, classes] */
function requireClasses({ shape }: Tensor, classes: number): void {
  if (shape.length === 2 && shape[1] === classes) return;
  throw new InputError(`the model returns [${shape.join(', ')}], but the task needs logits [B, ${classes}]`, {
    hint: 'create the head of the model for the number of classes of the task',
  });
}

function checkBatch(batch: Batch, classes: number): void {
  const largest = batch.labels.reduce((a, b) => Math.max(a, b), 0);
  if (largest >= classes) {
    throw new InputError(`an image has label ${largest}, but the model has the classes 0 to ${classes - 1}`, {
      hint: `set model.classes to at least ${largest + 1}`,
    });
  }
  const smallest = batch.labels.reduce((a, b) => Math.min(a, b), 0);
  if (smallest < 0) {
    throw new InputError(
      `an image has label ${smallest}, but the model has the classes 0 to ${classes - 1}`,
      {
        hint: 'labels must be numbers from 0',
      },
    );
  }
  if (batch.mix !== undefined && batch.size % 2 !== 0) {
    throw new InputError(`mixup and cutmix need an even batch size, not ${batch.size}`, {
      hint: 'set batch_size to an even number, or data.augment.mixup and cutmix to 0',
    });
  }
}
