import { IGNORED } from '../../data/dataset.js';
import type { PatchDecoder } from '../../models/dense/decoder-config.js';
import { packedSizes, unpacked } from '../../models/dense/upernet.js';
import { add, divide, mul, resizeBilinear, sumCrossEntropy, to } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';

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
export function pixelLoss(logits: Tensor, labels: Tensor): Tensor {
  const pixels = labels.shape.reduce((a, b) => a * b, 1);
  return divide(sumCrossEntropy(logits, labels, IGNORED), pixels);
}
