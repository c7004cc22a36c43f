import type { Size } from '../../models/dense/decoder-config.js';
import {
  add,
  divide,
  flip,
  full,
  increase,
  logAddExp,
  logSoftmax,
  pad,
  resizeBilinear,
  slice,
  to,
  zeros,
} from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';

export interface SegmentationEvaluation {
  /** Longer and shorter side that an image is resized within, before `scales`. */
  readonly scale: readonly [long: number, short: number];
  readonly mode: 'whole' | 'slide';
  /** Side of a window, and distance between windows, in pixels. */
  readonly window: number;
  readonly stride: number;
  /** Factors of `scale`. */
  readonly scales: readonly number[];
  readonly flip: boolean;
}

type Forward = (input: Tensor) => Tensor;

/**
 * The logits of an image [1, C, H, W] -> [1, classes, H, W], in one pass. The image is padded with 0 on the right and at the
 * bottom to a multiple of the patch; the logits are resized to the padded size, and the padding is cut off.
 */
export function wholeLogits(image: Tensor, forward: Forward, patch: number): Tensor {
  return scope(() => {
    const [, , height, width] = image.shape;
    const below = (patch - (height % patch)) % patch;
    const right = (patch - (width % patch)) % patch;
    const padded = below + right === 0 ? image : pad(image, [0, right, 0, below]);
    const output = forward(padded);
    const logits = output.dtype === 'BF16' ? to(output, { dtype: 'F32' }) : output;
    const resized = resizeBilinear(logits, [height + below, width + right]);
    return cut(resized, [height, width]);
  });
}

/**
 * The mean of the logits of windows, which overlap. Windows at the right and lower border are shifted back into the image; an
 * image smaller than the window has one window of its own size in that direction.
 */
export function slidingLogits(
  image: Tensor,
  forward: Forward,
  patch: number,
  { window, stride }: Pick<SegmentationEvaluation, 'window' | 'stride'>,
): Tensor {
  return scope(() => {
    const [, , height, width] = image.shape;
    let sum: Tensor | undefined;
    let counts = zeros([1, 1, height, width], 'F32', image.device);
    for (const top of starts(height, window, stride)) {
      for (const left of starts(width, window, stride)) {
        const [rows, columns] = [Math.min(window, height), Math.min(window, width)];
        const part = slice(slice(image, 2, top, top + rows), 3, left, left + columns);
        const sides = [left, width - left - columns, top, height - top - rows];
        const logits = pad(wholeLogits(part, forward, patch), sides);
        sum = sum === undefined ? logits : add(sum, logits);
        counts = add(counts, pad(full([1, 1, rows, columns], 1, 'F32', image.device), sides));
      }
    }
    return divide(sum as Tensor, counts);
  });
}

/** The first pixel of each window along a side. */
function starts(side: number, window: number, stride: number): number[] {
  const count = Math.floor(Math.max(side - window + stride - 1, 0) / stride) + 1;
  return Array.from({ length: count }, (_, i) => Math.max(Math.min(i * stride, side - window), 0));
}

/** An image [1, C, h, w] and how it was made. */
export interface View {
  readonly image: Tensor;
  readonly isFlipped: boolean;
}

/**
 * The logits of an image from one or several views, at `size`: [1, classes, H, W]. Of several views, the logarithm of their mean
 * probabilities.
 */
export function logitsOfViews(
  views: Iterable<View>,
  logitsOf: (image: Tensor) => Tensor,
  size: Size,
): Tensor {
  return scope(() => {
    const all = [...views];
    const sized = (view: View) =>
      scope(() => {
        const logits = logitsOf(view.image);
        return resizeBilinear(view.isFlipped ? flip(logits, 3) : logits, size);
      });
    if (all.length === 1) return sized(all[0]);
    let sum: Tensor | undefined;
    for (const view of all) {
      const before = sum;
      // Summed as logarithms: a probability may be too small for float32, and its logarithm would be infinite.
      sum = scope(() => {
        const logs = logSoftmax(sized(view), 1);
        return before === undefined ? logs : logAddExp(before, logs);
      });
      before?.free();
    }
    const logits = sum as Tensor;
    increase(logits, -Math.log(all.length));
    return logits;
  });
}

function cut(x: Tensor, [height, width]: Size): Tensor {
  return slice(slice(x, 2, 0, height), 3, 0, width);
}
