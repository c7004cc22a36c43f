import type { DType } from '../base/tensor-data.js';
import { native } from './native.js';
import { operator, tensorOperator, tensorsOperator } from './operator.js';
import type { Generator } from './random.js';
import { fromArray, scalarType, type Tensor } from './tensor.js';

// Typed signatures of the operators that this library uses. Shapes: B batch, N tokens, D width. All throw TorchError.

type Shape = readonly number[];

const aten = {
  add: tensorOperator('aten::add', 'Tensor'),
  mul: tensorOperator('aten::mul', 'Tensor'),
  mulScalar: tensorOperator('aten::mul', 'Scalar'),
  sub: tensorOperator('aten::sub', 'Tensor'),
  div: tensorOperator('aten::div', 'Tensor'),
  divScalar: tensorOperator('aten::div', 'Scalar'),
  sum: tensorOperator('aten::sum'),
  mean: tensorOperator('aten::mean'),
  meanAlong: tensorOperator('aten::mean', 'dim'),
  linear: tensorOperator('aten::linear'),
  matmul: tensorOperator('aten::matmul'),
  layerNorm: tensorOperator('aten::layer_norm'),
  rmsNorm: tensorOperator('aten::rms_norm'),
  gelu: tensorOperator('aten::gelu'),
  relu: tensorOperator('aten::relu'),
  log: tensorOperator('aten::log'),
  conv2d: tensorOperator('aten::conv2d'),
  batchNorm: tensorOperator('aten::batch_norm'),
  convTranspose2d: tensorOperator('aten::conv_transpose2d', 'input'),
  averagePool: tensorOperator('aten::avg_pool2d'),
  adaptivePool: tensorOperator('aten::adaptive_avg_pool2d'),
  maxPool: tensorOperator('aten::max_pool2d'),
  pad: tensorOperator('aten::constant_pad_nd'),
  addScalarInPlace: operator<number>('aten::add_', 'Scalar'),
  sdpa: tensorOperator('aten::scaled_dot_product_attention'),
  crossEntropy: tensorOperator('aten::cross_entropy_loss'),
  binaryCrossEntropy: tensorOperator('aten::binary_cross_entropy_with_logits'),
  logSoftmax: tensorOperator('aten::log_softmax', 'int'),
  klDivergence: tensorOperator('aten::kl_div'),
  lerp: tensorOperator('aten::lerp', 'Scalar'),
  flip: tensorOperator('aten::flip'),
  reshape: tensorOperator('aten::reshape'),
  permute: tensorOperator('aten::permute'),
  transpose: tensorOperator('aten::transpose', 'int'),
  unbind: tensorsOperator('aten::unbind', 'int'),
  select: tensorOperator('aten::select', 'int'),
  slice: tensorOperator('aten::slice', 'Tensor'),
  cat: tensorOperator('aten::cat'),
  expand: tensorOperator('aten::expand'),
  clone: tensorOperator('aten::clone'),
  detach: tensorOperator('aten::detach'),
  to: tensorOperator('aten::_to_copy'),
  zeros: tensorOperator('aten::zeros'),
  ones: tensorOperator('aten::ones'),
  full: tensorOperator('aten::full'),
  copy: operator<number>('aten::copy_'),
  uniform: operator<number>('aten::uniform_'),
  normal: operator<number>('aten::normal_'),
  bernoulli: operator<number>('aten::bernoulli_', 'float'),
  topk: tensorsOperator('aten::topk'),
  argmax: tensorOperator('aten::argmax'),
  eq: tensorOperator('aten::eq', 'Tensor'),
  upsample: tensorOperator('aten::upsample_bicubic2d'),
  upsampleAntialiased: tensorOperator('aten::_upsample_bicubic2d_aa'),
  fft2: tensorOperator('aten::fft_fft2'),
  inverseFft2: tensorOperator('aten::fft_ifft2'),
  fftShift: tensorOperator('aten::fft_fftshift'),
  inverseFftShift: tensorOperator('aten::fft_ifftshift'),
  real: tensorOperator('aten::real'),
  bilinear: tensorOperator('aten::upsample_bilinear2d'),
  softmax: tensorOperator('aten::softmax', 'int'),
  norm: tensorOperator('aten::norm', 'ScalarOpt_dim'),
  clamp: tensorOperator('aten::clamp'),
  maskedFill: tensorOperator('aten::masked_fill', 'Scalar'),
  logSumExp: tensorOperator('aten::logsumexp'),
  logAddExp: tensorOperator('aten::logaddexp'),
};

/**
 * Elementwise sum, broadcasting.
 *
 * @example
 * add(ones([2]), ones([2])).toFloat32Array(); // 2, 2
 */
export const add = (x: Tensor, y: Tensor): Tensor => aten.add(x, y);
/**
 * Elementwise difference, broadcasting.
 *
 * @example
 * sub(ones([2]), ones([2])).toFloat32Array(); // 0, 0
 */
export const sub = (x: Tensor, y: Tensor): Tensor => aten.sub(x, y);
/**
 * Elementwise product, broadcasting.
 *
 * @example
 * mul(ones([2]), 3).toFloat32Array(); // 3, 3
 */
export const mul = (x: Tensor, y: Tensor | number): Tensor =>
  typeof y === 'number' ? aten.mulScalar(x, y) : aten.mul(x, y);
/**
 * Elementwise quotient, broadcasting.
 *
 * @example
 * divide(ones([2]), 2).toFloat32Array(); // 0.5, 0.5
 */
export const divide = (x: Tensor, y: Tensor | number): Tensor =>
  typeof y === 'number' ? aten.divScalar(x, y) : aten.div(x, y);
/** x + weight (y - x): linear interpolation from x to y. */
export const lerp = (x: Tensor, y: Tensor, weight: number): Tensor => aten.lerp(x, y, weight);
/**
 * Sum of all elements.
 *
 * @example
 * sum(ones([2, 3])).item(); // 6
 */
export const sum = (x: Tensor): Tensor => aten.sum(x);
/**
 * Mean of all elements, or along one dimension, which is dropped.
 *
 * @example
 * mean(ones([2, 3]), 1).shape; // [2]
 */
export const mean = (x: Tensor, dimension?: number): Tensor =>
  dimension === undefined ? aten.mean(x) : aten.meanAlong(x, [dimension]);
/**
 * x W^T + b: [..., in] x [out, in] -> [..., out].
 *
 * @example
 * linear(ones([1, 3]), ones([2, 3]), null).toFloat32Array(); // 3, 3
 */
export const linear = (x: Tensor, weight: Tensor, bias: Tensor | null): Tensor =>
  aten.linear(x, weight, bias);
/**
 * Matrix product, broadcasting over leading dimensions.
 *
 * @example
 * matmul(ones([2, 3]), ones([3, 4])).shape; // [2, 4]
 */
export const matmul = (x: Tensor, y: Tensor): Tensor => aten.matmul(x, y);
/**
 * Layer normalisation over the last dimension, with the biased variance.
 *
 * @example
 * layerNorm(fromArray(Float32Array.of(1, 3), [1, 2]), ones([2]), zeros([2]), 0).toFloat32Array(); // -1, 1
 */
export const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor, eps: number): Tensor =>
  aten.layerNorm(x, weight.shape, weight, bias, eps);
/**
 * Root-mean-square normalisation over the last dimension (Zhang and Sennrich 2019): x / sqrt(mean(x^2) + eps) * weight.
 *
 * @example
 * rmsNorm(fromArray(Float32Array.of(1, 7), [1, 2]), ones([2]), 0).toFloat32Array(); // 0.2, 1.4
 */
export const rmsNorm = (x: Tensor, weight: Tensor, eps: number): Tensor =>
  aten.rmsNorm(x, weight.shape, weight, eps);
/**
 * The exact (erf) GELU.
 *
 * @example
 * gelu(zeros([2])).toFloat32Array(); // 0, 0
 */
export const gelu = (x: Tensor): Tensor => aten.gelu(x);
/**
 * max(x, 0).
 *
 * @example
 * relu(fromArray(Float32Array.of(-1, 2), [2])).toFloat32Array(); // 0, 2
 */
export const relu = (x: Tensor): Tensor => aten.relu(x);

/** Natural logarithm of each element. */
export const log = (x: Tensor): Tensor => aten.log(x);

/** How the window of a convolution or pooling moves over height and width. */
export interface WindowOptions {
  /** Default 1. */
  readonly stride?: number;
  /** Zeros on each side. Default 0. */
  readonly padding?: number;
}
/**
 * Cross-correlation: [B, in, H, W] with weight [out, in / groups, h, w] -> [B, out, H', W'].
 *
 * @example
 * conv2d(ones([1, 1, 4, 4]), ones([2, 1, 3, 3]), null, { stride: 2, padding: 1 }).shape; // [1, 2, 2, 2]
 */
export const conv2d = (
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  options: WindowOptions & { readonly groups?: number } = {},
): Tensor => {
  const { stride = 1, padding = 0, groups = 1 } = options;
  return aten.conv2d(x, weight, bias, [stride, stride], [padding, padding], [1, 1], groups);
};
/**
 * Transposed convolution without overlap, stride = kernel: [B, in, H, W] with weight [in, out, k, k] -> [B, out, k H, k W].
 *
 * @example
 * upConv2d(ones([1, 1, 2, 2]), ones([1, 3, 2, 2]), zeros([3])).shape; // [1, 3, 4, 4]
 */
export const upConv2d = (x: Tensor, weight: Tensor, bias: Tensor): Tensor => {
  const [, , kernel] = weight.shape;
  return aten.convTranspose2d(x, weight, bias, [kernel, kernel]);
};
/**
 * Means over `size` x `size` regions of nearly equal size: [B, C, H, W] -> [B, C, size, size].
 *
 * @example
 * adaptiveAveragePool2d(ones([1, 2, 5, 7]), 3).shape; // [1, 2, 3, 3]
 */
export const adaptiveAveragePool2d = (x: Tensor, size: number): Tensor => aten.adaptivePool(x, [size, size]);
/**
 * Maxima over adjacent windows of 2 x 2 pixels: [B, C, H, W] -> [B, C, H / 2, W / 2], rounded down. A side of 1 pixel stays.
 *
 * @example
 * halvedByMax(ones([1, 2, 4, 4])).shape; // [1, 2, 2, 2]
 */
export const halvedByMax = (x: Tensor): Tensor =>
  aten.maxPool(
    x,
    x.shape.slice(2).map((side) => Math.min(2, side)),
  );
/**
 * Means over adjacent windows of `size` x `size` pixels: [B, C, H, W] -> [B, C, H / size, W / size].
 *
 * @example
 * averagePool2d(ones([1, 2, 4, 4]), 2).shape; // [1, 2, 2, 2]
 */
export const averagePool2d = (x: Tensor, size: number): Tensor =>
  aten.averagePool(x, [size, size], [size, size]);
/**
 * Means over height and width: [B, C, H, W] -> [B, C].
 *
 * @example
 * globalAveragePool2d(ones([1, 2, 4, 4])).shape; // [1, 2]
 */
export const globalAveragePool2d = (x: Tensor): Tensor => aten.meanAlong(x, [2, 3]);
/**
 * Normalises each channel of [B, C, H, W] to mean 0 and variance 1 (biased), then scales and shifts it. With `training`, it
 * uses the batch's statistics and moves the running ones [C] towards them by `momentum`, with the unbiased variance. Without,
 * it uses the running statistics.
 *
 * @example
 * const running = { mean: zeros([2]), variance: ones([2]) };
 * batchNorm(ones([4, 2, 1, 1]), ones([2]), zeros([2]), { running, training: true, momentum: 0.1, eps: 1e-5 });
 * running.mean.toFloat32Array(); // 0.1, 0.1
 */
export const batchNorm = (
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  options: {
    readonly running: { readonly mean: Tensor; readonly variance: Tensor };
    readonly training: boolean;
    readonly momentum: number;
    readonly eps: number;
  },
): Tensor => {
  const { running, training, momentum, eps } = options;
  return aten.batchNorm(x, weight, bias, running.mean, running.variance, training, momentum, eps, true);
};
/**
 * softmax(Q K^T / sqrt(d)) V on [B, heads, N, d].
 *
 * @example
 * attention(ones([1, 2, 5, 4]), ones([1, 2, 5, 4]), ones([1, 2, 5, 4])).shape; // [1, 2, 5, 4]
 */
export const attention = (query: Tensor, key: Tensor, value: Tensor): Tensor => aten.sdpa(query, key, value);

const MEAN_REDUCTION = 1;
const SUM_REDUCTION = 2;
const IGNORE_INDEX = -100;
/**
 * Mean cross-entropy of logits [B, C] with I64 labels [B], or with target distributions [B, C].
 * Label smoothing s mixes s of the uniform distribution with 1-s of the target. With class weights [classes], the mean is weighted
 * for labels; for target distributions, it is the sum over the number of rows.
 *
 * @example
 * crossEntropy(zeros([1, 2]), fromArray(BigInt64Array.of(1n), [1])).item(); // ln 2
 */
export const crossEntropy = (
  logits: Tensor,
  target: Tensor,
  labelSmoothing = 0,
  weights: Tensor | null = null,
): Tensor => aten.crossEntropy(logits, target, weights, MEAN_REDUCTION, IGNORE_INDEX, labelSmoothing);
/**
 * Sum over all pixels of the cross-entropy of logits [B, C, H, W] with I64 labels [B, H, W]. Pixels with the label `ignored` count 0.
 *
 * @example
 * sumCrossEntropy(zeros([1, 2, 1, 1]), fromArray(BigInt64Array.of(1n), [1, 1, 1]), 255).item(); // ln 2
 */
export const sumCrossEntropy = (logits: Tensor, labels: Tensor, ignored: number): Tensor =>
  aten.crossEntropy(logits, labels, null, SUM_REDUCTION, ignored, 0);
/** Mean over all elements of the binary cross-entropy of sigmoid(logits), for targets of the same shape in 0 ... 1. */
export const binaryCrossEntropy = (logits: Tensor, target: Tensor): Tensor =>
  aten.binaryCrossEntropy(logits, target, null, null, MEAN_REDUCTION);
/** Logarithm of the softmax along a dimension. */
export const logSoftmax = (x: Tensor, dimension: number): Tensor => aten.logSoftmax(x, dimension);
/** Mean over all elements of e^q (q - p), for log-probabilities p and q; the sum would be KL(q || p). */
export const klDivergence = (p: Tensor, q: Tensor): Tensor => aten.klDivergence(p, q, MEAN_REDUCTION, true);

/**
 * @example
 * reshape(zeros([2, 6]), [3, -1]).shape; // [3, 4]
 */
export const reshape = (x: Tensor, shape: Shape): Tensor => aten.reshape(x, shape);
/**
 * @example
 * permute(zeros([2, 3, 4]), [2, 0, 1]).shape; // [4, 2, 3]
 */
export const permute = (x: Tensor, order: Shape): Tensor => aten.permute(x, order);
/**
 * @example
 * transpose(zeros([2, 3, 4]), 1, 2).shape; // [2, 4, 3]
 */
export const transpose = (x: Tensor, a: number, b: number): Tensor => aten.transpose(x, a, b);
/**
 * The slices of `x` along a dimension, which is dropped. They are views.
 *
 * @example
 * unbind(zeros([3, 2]), 0).length; // 3
 */
export const unbind = (x: Tensor, dimension: number): Tensor[] => aten.unbind(x, dimension);
/**
 * One slice along a dimension, which is dropped. A view.
 *
 * @example
 * select(zeros([3, 2]), 0, 1).shape; // [2]
 */
export const select = (x: Tensor, dimension: number, index: number): Tensor =>
  aten.select(x, dimension, index);
/**
 * Elements start ... end-1 along a dimension, every `step`-th. A view.
 *
 * @example
 * slice(zeros([3, 2]), 0, 1).shape; // [2, 2]
 */
export const slice = (x: Tensor, dimension: number, start: number, end?: number, step = 1): Tensor =>
  aten.slice(x, dimension, start, end ?? null, step);
/**
 * Adds zeros before and after the elements of some dimensions.
 * @param sides [before, after] of the last dimension, then of the one before it, and so on
 *
 * @example
 * pad(ones([2, 2]), [0, 0, 1, 0]).shape; // [3, 2]
 */
export const pad = (x: Tensor, sides: readonly number[]): Tensor => aten.pad(x, sides, 0);
/**
 * @example
 * concat([zeros([1, 2]), ones([1, 2])], 0).shape; // [2, 2]
 */
export const concat = (tensors: readonly Tensor[], dimension: number): Tensor => aten.cat(tensors, dimension);
/** A copy with a dimension reversed. */
export const flip = (x: Tensor, dimension: number): Tensor => aten.flip(x, [dimension]);
/**
 * Repeats dimensions of size 1; -1 keeps a dimension's size. A view.
 *
 * @example
 * expand(zeros([1, 2]), [5, -1]).shape; // [5, 2]
 */
export const expand = (x: Tensor, shape: Shape): Tensor => aten.expand(x, shape);
export const clone = (x: Tensor): Tensor => aten.clone(x);
/** The same memory, outside the autograd graph. */
export const detach = (x: Tensor): Tensor => aten.detach(x);
/**
 * A copy in another dtype or on another device.
 *
 * @example
 * to(ones([2]), { dtype: 'F64' }).dtype; // F64
 */
export const to = (x: Tensor, options: { dtype?: DType; device?: string }): Tensor =>
  aten.to(x, options.dtype && scalarType(options.dtype), undefined, options.device);

/**
 * @example
 * zeros([2, 3]).toString(); // F32[2, 3]
 */
export const zeros = (shape: Shape, dtype: DType = 'F32', device = 'cpu'): Tensor =>
  aten.zeros(shape, scalarType(dtype), null, device);
/**
 * @example
 * ones([2], 'F64').toFloat64Array(); // 1, 1
 */
export const ones = (shape: Shape, dtype: DType = 'F32', device = 'cpu'): Tensor =>
  aten.ones(shape, scalarType(dtype), null, device);
/**
 * A tensor whose elements all have one value.
 *
 * @example
 * full([2], 3).toFloat32Array(); // 3, 3
 */
export const full = (shape: Shape, value: number, dtype: DType = 'F32', device = 'cpu'): Tensor =>
  aten.full(shape, value, scalarType(dtype), null, device);
/** A tensor on the CPU whose elements are 1 with probability `p`, else 0. */
export function bernoulli(shape: Shape, p: number, generator: Generator, dtype: DType = 'F32'): Tensor {
  const drawn = zeros(shape, dtype);
  discard(aten.bernoulli(drawn, p, generator));
  return drawn;
}

/** Overwrites `target` with the elements of `source`, converted. */
export function copyInto(target: Tensor, source: Tensor): void {
  discard(aten.copy(target, source));
}
/** Overwrites `target` with samples from U(low, high). */
export function fillUniform(target: Tensor, low: number, high: number, generator: Generator): void {
  discard(aten.uniform(target, low, high, generator));
}
/** Adds a number to every element of `target`. */
export function increase(target: Tensor, by: number): void {
  discard(aten.addScalarInPlace(target, by));
}
/**
 * Overwrites `target` with samples from N(mean, deviation^2).
 *
 * @example
 * const noise = zeros([2, 3]);
 * fillNormal(noise, 0, 1, new Generator().seed([0, 'noise']));
 */
export function fillNormal(target: Tensor, mean: number, deviation: number, generator: Generator): void {
  discard(aten.normal(target, mean, deviation, generator));
}

/** Indices [B, k] of the k largest elements of each row, largest first. */
export function topIndices(x: Tensor, k: number): Tensor {
  const [values, indices] = aten.topk(x, k);
  values.free();
  return indices;
}
/** I64 index of the largest element along a dimension, which is dropped. For equal elements, the first index. */
export const argmax = (x: Tensor, dimension: number): Tensor => aten.argmax(x, dimension);
/** Elementwise equality, broadcasting; a BOOL tensor. */
export const equal = (x: Tensor, y: Tensor): Tensor => aten.eq(x, y);
/** Bicubic resize: [B, C, H, W] -> [B, C, height, width], a = -0.75, no antialiasing, align_corners = false. */
export const upsampleBicubic = (x: Tensor, height: number, width: number): Tensor =>
  aten.upsample(x, [height, width], false);
/** Bicubic resize with antialiasing, as in Pillow: [B, C, H, W] -> [B, C, height, width], a = -0.5. */
export const resizeBicubic = (x: Tensor, height: number, width: number): Tensor =>
  aten.upsampleAntialiased(x, [height, width], false);

/**
 * The low frequencies of images: [..., H, W] -> [..., height, width]. Takes the central crop of the spectrum (2-D FFT, zero
 * frequency in the centre) and transforms it back. The mean of each image stays the same.
 */
export function lowFrequencies(x: Tensor, height: number, width: number): Tensor {
  const [fullHeight, fullWidth] = x.shape.slice(-2);
  const plane = [-2, -1];
  const [top, left] = [
    Math.floor(fullHeight / 2) - Math.floor(height / 2),
    Math.floor(fullWidth / 2) - Math.floor(width / 2),
  ];
  const spectrum = aten.fftShift(aten.fft2(x), plane);
  const cropped = slice(slice(spectrum, -2, top, top + height), -1, left, left + width);
  const images = aten.real(aten.inverseFft2(aten.inverseFftShift(cropped, plane)));
  return mul(images, (height * width) / (fullHeight * fullWidth));
}
/** min(max(x, least), most), elementwise. */
export const clampTensor = (x: Tensor, least: number, most: number | null = null): Tensor =>
  aten.clamp(x, least, most);
/** x / max(||x||_2, 1e-12) along a dimension. */
export const normalize = (x: Tensor, dimension: number): Tensor =>
  divide(x, clampTensor(aten.norm(x, 2, [dimension], true), 1e-12));
/** The elements of `x`, with `value` where the BOOL tensor `mask` is true. */
export const maskedFill = (x: Tensor, mask: Tensor, value: number): Tensor => aten.maskedFill(x, mask, value);
/** log(sum(exp(x))) along a dimension, which is kept with size 1. */
export const logSumExp = (x: Tensor, dimension: number): Tensor => aten.logSumExp(x, [dimension], true);
/** log(exp(x) + exp(y)), elementwise. */
export const logAddExp = (x: Tensor, y: Tensor): Tensor => aten.logAddExp(x, y);

/**
 * Bilinear resize: [B, C, H, W] -> [B, C, height, width], without antialiasing.
 * @param options.factor of the coordinates. Default: height / H and width / W
 * @param options.alignCorners corner pixels stay at the corners; the factor is then ignored. Default false
 *
 * @example
 * resizeBilinear(ones([1, 2, 3, 3]), [6, 6]).shape; // [1, 2, 6, 6]
 */
export const resizeBilinear = (
  x: Tensor,
  [height, width]: readonly number[],
  { factor, alignCorners = false }: { readonly factor?: number; readonly alignCorners?: boolean } = {},
): Tensor => aten.bilinear(x, [height, width], alignCorners, factor ?? null, factor ?? null);
/** Softmax along a dimension. */
export const softmax = (x: Tensor, dimension: number): Tensor => aten.softmax(x, dimension);

/** An F32 or F64 tensor of shape []. */
export const scalar = (value: number, dtype: 'F32' | 'F64' = 'F32', device = 'cpu'): Tensor =>
  fromArray(dtype === 'F64' ? Float64Array.of(value) : Float32Array.of(value), [], device);

function discard(handle: number): void {
  native.release([handle]);
}
