import { InputError } from '../base/errors.js';
import type { Batch } from '../data/batch.js';
import {
  crossEntropy,
  divide,
  equal,
  expand,
  mul,
  reshape,
  slice,
  sub,
  sum,
  to,
  topIndices,
} from '../torch/ops.js';
import { fromArray, fromData, type Tensor } from '../torch/tensor.js';
import type { Task } from '../training/task.js';

export interface ClassificationOptions {
  /** Of the model's input; grey images are repeated over three. */
  readonly channels: number;
  readonly classes: number;
  /** Of each channel, of pixels in 0 ... 1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly labelSmoothing: number;
  readonly device: string;
  readonly dtype?: 'F32' | 'F64';
}

/** One label an image; cross-entropy; top-1 and top-5. */
export function classification(options: ClassificationOptions): Task {
  const { channels, classes, device, dtype = 'F32' } = options;
  const perChannel = (values: readonly number[]) =>
    fromArray(Float32Array.from(values), [1, channels, 1, 1], device);

  return {
    prepare(batch) {
      checkBatch(batch, channels, classes);
      const shape = [batch.size, batch.channels, batch.height, batch.width];
      const pixels = to(fromData({ dtype: 'U8', shape, data: batch.images }, device), { dtype: 'F32' });
      const scaled = expand(divide(pixels, 255), [-1, channels, -1, -1]);
      const normalised = divide(sub(scaled, perChannel(options.mean)), perChannel(options.std));
      const target = fromArray(BigInt64Array.from(batch.labels, BigInt), [batch.size], device);
      return { input: dtype === 'F32' ? normalised : to(normalised, { dtype }), target };
    },

    loss: (logits, target) => crossEntropy(widened(logits), target, options.labelSmoothing),

    score(logits, target) {
      const exact = to(logits, { dtype: 'F64' });
      const hits = equal(topIndices(exact, Math.min(5, classes)), reshape(target, [-1, 1]));
      return {
        loss: mul(crossEntropy(exact, target), target.shape[0]).item(),
        top1: sum(slice(hits, 1, 0, 1)).item(),
        top5: sum(hits).item(),
      };
    },
  };
}

/** The loss of bfloat16 logits is computed in float32. */
function widened(logits: Tensor): Tensor {
  return logits.dtype === 'BF16' ? to(logits, { dtype: 'F32' }) : logits;
}

function checkBatch(batch: Batch, channels: number, classes: number): void {
  if (batch.channels !== channels && batch.channels !== 1) {
    throw new InputError(`the images have ${batch.channels} channels, the model takes ${channels}`, {
      hint: `set model.channels to ${batch.channels}`,
    });
  }
  const largest = batch.labels.reduce((a, b) => Math.max(a, b), 0);
  if (largest >= classes) {
    throw new InputError(`an image has label ${largest}, the model knows classes 0 to ${classes - 1}`, {
      hint: `set model.classes to at least ${largest + 1}`,
    });
  }
  const smallest = batch.labels.reduce((a, b) => Math.min(a, b), 0);
  if (smallest < 0) {
    throw new InputError(`an image has label ${smallest}, the model knows classes 0 to ${classes - 1}`, {
      hint: 'labels are numbers from 0',
    });
  }
}
