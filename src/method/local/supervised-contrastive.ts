import { autocast } from '../../torch/autograd.js';
import {
  clampTensor,
  divide,
  equal,
  logSumExp,
  maskedFill,
  matmul,
  mul,
  normalize,
  ones,
  reshape,
  sub,
  sum,
  to,
  transpose,
} from '../../torch/ops.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';

const TEMPERATURE = 0.07;

/**
 * The supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362) with one view of each image, as in InfoPro's code.
 * Each image is an anchor, compared with all other images of the batch: minus the mean, over the others of its class, of
 * log(e^(z_i z_j / t) / sum over k != i of e^(z_i z_k / t)), with t = 0.07. An anchor without others of its class counts as 0. The
 * mean is over all anchors.
 *
 * @param features [B, D] with B >= 2; normalised here to length 1
 * @param labels I64 [B]
 */
export function supervisedContrastive(features: Tensor, labels: Tensor): Tensor {
  const [size] = features.shape;
  const { device } = features;
  const dtype = features.dtype === 'F64' ? 'F64' : 'F32';
  const unit = normalize(to(features, { dtype }), 1);
  // Not in the lower precision of matrix products: the differences decide.
  const product = (x: Tensor, y: Tensor) => autocast(device, 'F32', () => matmul(x, y));
  const similar = divide(product(unit, transpose(unit, 0, 1)), TEMPERATURE);
  const places = upload(
    fromArray(
      Float32Array.from({ length: size }, (_, i) => i),
      [size, 1],
    ),
    device,
  );
  const isSelf = equal(places, reshape(places, [1, size]));
  const others = maskedFill(similar, isSelf, Number.NEGATIVE_INFINITY);
  const logProbability = sub(similar, logSumExp(others, 1));
  const isSame = equal(reshape(labels, [size, 1]), reshape(labels, [1, size]));
  const positive = maskedFill(to(isSame, { dtype }), isSelf, 0);
  const counts = product(positive, ones([size, 1], dtype, device));
  return mul(sum(divide(mul(logProbability, positive), clampTensor(counts, 1))), -1 / size);
}
