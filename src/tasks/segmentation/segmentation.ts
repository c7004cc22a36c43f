import { InputError } from '../../base/errors.js';
import { type Batch, IGNORED } from '../../data/dataset.js';
import { flipped, type Planes, resizedWhole, sizeWithin } from '../../data/label-maps/resize.js';
import type { PatchDecoder } from '../../models/dense/decoder-config.js';
import { packedSizes, unpacked } from '../../models/dense/upernet.js';
import { add, argmax, divide, mul, resizeBilinear, sumCrossEntropy, to } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import type { Task } from '../../training/task.js';
import { clearPadding, type InputOptions, imageInput } from '../input/image-input.js';
import { areaSums, classOverlaps, SEGMENTATION_METRICS, summarizeAreas } from './metrics.js';
import {
  logitsOfViews,
  type SegmentationEvaluation,
  slidingLogits,
  type View,
  wholeLogits,
} from './views.js';

interface SegmentationOptions extends InputOptions {
  readonly classes: number;
  readonly decoder: PatchDecoder;
  /** Weight of the auxiliary head's loss. */
  readonly auxWeight: number;
  readonly evaluation: SegmentationEvaluation;
}

/** The class of each pixel. */
interface SegmentationTarget {
  /** I64 [B, H, W]. */
  readonly labels: Tensor;
  /** The same, on the CPU. */
  readonly maps: Uint8Array;
}

/**
 * Semantic segmentation: the class of each pixel. The loss is mmsegmentation's (see `segmentationLoss`), the metrics are mIoU,
 * mAcc and aAcc. An image is evaluated at its own size, from one or several views (see `SegmentationEvaluation`).
 * @throws InputError unless mean and std have one number per channel, and every std is above 0; later, if a batch has no label
 *   maps
 */
export function segmentation(options: SegmentationOptions): Task<SegmentationTarget> {
  const { classes, decoder, auxWeight, device, evaluation } = options;
  const inputOf = imageInput(options);
  return {
    metrics: SEGMENTATION_METRICS,

    prepare(batch) {
      return scope(() => {
        const input = inputOf(batch);
        clearPadding(input, batch);
        return { input, target: targetOf(batch, device) };
      });
    },

    loss: (output, { labels }) => segmentationLoss(output, labels, { ...decoder, auxWeight }),

    infer(batch, forward) {
      return scope(() => {
        const logitsOf = (image: Tensor) =>
          evaluation.mode === 'slide'
            ? slidingLogits(image, forward, decoder.patchSize, evaluation)
            : wholeLogits(image, forward, decoder.patchSize);
        const views = viewsOf(batch, inputOf, evaluation);
        const output = logitsOfViews(views, logitsOf, [batch.height, batch.width]);
        return { output, target: targetOf(batch, device) };
      });
    },

    score(output, { labels, maps }) {
      const prediction = predictedLabels(output);
      const loss = mul(pixelLoss(output, labels), labels.shape[0]).item();
      return { ...areaSums(prediction, maps, classes), loss };
    },

    summarize: (sums) => summarizeAreas(sums, classes),
    labelMap: predictedLabels,
    classScores: (sums) => classOverlaps(sums, classes),
  };
}

/** The class of each pixel of logits [B, classes, H, W], image by image. */
export function predictedLabels(logits: Tensor): Uint8Array {
  const { data } = scope(() => argmax(logits, 1).toData());
  return Uint8Array.from(new BigInt64Array(data.buffer, data.byteOffset, data.byteLength / 8), Number);
}

function targetOf({ size, height, width, labelMaps }: Batch, device: string): SegmentationTarget {
  if (labelMaps === undefined) {
    throw new InputError('a batch without label maps', { hint: 'segmentation needs images with label maps' });
  }
  const labels = fromArray(BigInt64Array.from(labelMaps, BigInt), [size, height, width]);
  return { labels: upload(labels, device), maps: labelMaps };
}

/** The image of a batch at each scale, also mirrored if requested, normalised. */
function viewsOf(
  { size, channels, height, width, images }: Batch,
  inputOf: (batch: Batch) => Tensor,
  { scale: [long, short], scales, flip }: SegmentationEvaluation,
): View[] {
  if (size !== 1) throw new InputError(`segmentation evaluates one image at a time, not ${size}`);
  const image: Planes = { channels, height, width, data: images };
  return scales.flatMap((factor) => {
    const within = sizeWithin(image, Math.trunc(long * factor), Math.trunc(short * factor));
    const resized = resizedWhole(image, within);
    const view = (planes: Planes, isFlipped: boolean): View => ({
      image: inputOf(batchOf(planes)),
      isFlipped,
    });
    return flip ? [view(resized, false), view(flipped(resized), true)] : [view(resized, false)];
  });
}

function batchOf({ channels, height, width, data }: Planes): Batch {
  const none = new Int32Array(1);
  return { size: 1, channels, height, width, images: data, labels: none, indices: none };
}

/**
 * mmsegmentation's loss. The logits of each head are resized to the labels' size; their cross-entropy is divided by the number of
 * all pixels, ignored ones included. The auxiliary head's counts `auxWeight` times.
 * @param output of the model in training, see `UperNet`
 * @param labels I64 [B, H, W]
 */
export function segmentationLoss(
  output: Tensor,
  labels: Tensor,
  { auxWeight, ...decoder }: PatchDecoder & { readonly auxWeight: number },
): Tensor {
  const [, height, width] = labels.shape;
  const wide = output.dtype === 'BF16' ? to(output, { dtype: 'F32' }) : output;
  const [main, auxiliary] = unpacked(wide, packedSizes(decoder, [height, width])).map((logits) =>
    pixelLoss(resizeBilinear(logits, [height, width]), labels),
  );
  return add(main, mul(auxiliary, auxWeight));
}

/** @param logits [B, C, H, W] */
function pixelLoss(logits: Tensor, labels: Tensor): Tensor {
  const pixels = labels.shape.reduce((a, b) => a * b, 1);
  return divide(sumCrossEntropy(logits, labels, IGNORED), pixels);
}
