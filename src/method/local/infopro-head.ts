import { convolution, linearTensors, normTensors, partCost, vector } from '../../models/part-cost.js';
import { BatchNorm2d, Conv2d } from '../../nn/convolutional.js';
import type { InitContext } from '../../nn/init.js';
import { Linear } from '../../nn/layers.js';
import { Module } from '../../nn/module.js';
import { autocast } from '../../torch/autograd.js';
import {
  add,
  binaryCrossEntropy,
  clampTensor,
  divide,
  equal,
  globalAveragePool2d,
  logSumExp,
  maskedFill,
  matmul,
  mul,
  normalize,
  ones,
  relu,
  reshape,
  resizeBilinear,
  sub,
  sum,
  to,
  transpose,
} from '../../torch/ops.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import { type HeadCost, type HeadInput, type HeadSizes, LocalHead, TRAINING } from './local-head.js';

/** Channels between the decoder's convolutions. */
const DECODER = 12;
/** Width of the task head's hidden layer, and of the features that are contrasted. */
const HIDDEN = 128;

export interface InfoProOptions {
  /** How the task head learns: contrastive, from pairs of labels; cross-entropy, by the task's own loss. */
  readonly task: 'contrastive' | 'cross-entropy';
  /** Weight of the reconstruction loss. */
  readonly reconstruction: number;
  /** Weight of the task head's loss. */
  readonly prediction: number;
}

/**
 * The auxiliary heads of a module in InfoPro (Wang et al. 2021, arXiv 2101.10832, as its code has them for CIFAR): a decoder that
 * reconstructs the image, and a task head. The loss is their weighted sum.
 */
export class InfoProHead extends LocalHead {
  readonly decoder: Decoder;
  readonly task: TaskHead;
  readonly #options: InfoProOptions;

  constructor(sizes: HeadSizes, options: InfoProOptions, context: InitContext) {
    super();
    this.decoder = new Decoder(sizes, context);
    this.task = new TaskHead(sizes, outputsOf(sizes, options), context);
    this.#options = options;
  }

  loss({ map, pixels, labels, lossOf }: HeadInput): Tensor {
    const { task, reconstruction, prediction } = this.#options;
    const output = this.task.forward(map);
    const own = task === 'contrastive' ? supervisedContrastive(output, labels) : lossOf(output);
    return add(mul(this.decoder.loss(map, pixels), reconstruction), mul(own, prediction));
  }
}

/** Resize to the image (bilinear, corners aligned), 3x3 convolution, batch norm, ReLU, 3x3 convolution, sigmoid. */
class Decoder extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;

  constructor({ map: [channels], image }: HeadSizes, context: InitContext) {
    super();
    this.conv1 = new Conv2d(channels, DECODER, { kernel: 3, padding: 1 }, context);
    this.bn1 = new BatchNorm2d(DECODER, context);
    this.conv2 = new Conv2d(DECODER, image.channels, { kernel: 3, padding: 1 }, context);
  }

  /** Binary cross-entropy of the reconstruction. */
  loss(map: Tensor, pixels: Tensor): Tensor {
    const [, , height, width] = pixels.shape;
    const resized = resizeBilinear(map, [height, width], { alignCorners: true });
    const hidden = relu(this.bn1.forward(this.conv1.forward(resized), TRAINING));
    return binaryCrossEntropy(this.conv2.forward(hidden), pixels);
  }
}

/** 3x3 convolution, batch norm, ReLU, global average pooling, linear, ReLU, linear ("1c2f"). */
class TaskHead extends Module {
  readonly conv: Conv2d;
  readonly bn: BatchNorm2d;
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor(sizes: HeadSizes, outputs: number, context: InitContext) {
    super();
    const [channels] = sizes.map;
    const { width, stride } = convolutionOf(sizes);
    this.conv = new Conv2d(channels, width, { kernel: 3, stride, padding: 1, bias: false }, context);
    this.bn = new BatchNorm2d(width, context);
    this.fc1 = new Linear(width, HIDDEN, context, { init: 'fan-in' });
    this.fc2 = new Linear(HIDDEN, outputs, context, { init: 'fan-in' });
  }

  forward(map: Tensor): Tensor {
    const features = relu(this.bn.forward(this.conv.forward(map), TRAINING));
    return this.fc2.forward(relu(this.fc1.forward(globalAveragePool2d(features))));
  }
}

/** 16 to 32 and 32 to 64 channels with stride 2, 64 to 64 with stride 1: a step towards the model's last width. */
function convolutionOf({ map: [channels], widest }: HeadSizes): { width: number; stride: number } {
  return channels < widest ? { width: 2 * channels, stride: 2 } : { width: channels, stride: 1 };
}

function outputsOf({ classes }: HeadSizes, { task }: InfoProOptions): number {
  return task === 'contrastive' ? HIDDEN : classes;
}

export function infoProCost(sizes: HeadSizes, options: InfoProOptions): HeadCost {
  const { map, image } = sizes;
  const [channels, height, side] = map;
  const pixels = image.size ** 2;
  const { width, stride } = convolutionOf(sizes);
  const cells = Math.ceil(height / stride) * Math.ceil(side / stride);
  const cost = partCost({
    'decoder.conv1.weight': convolution(9 * channels, DECODER, pixels),
    'decoder.conv1.bias': vector(DECODER),
    ...normTensors('decoder.bn1', DECODER),
    'decoder.conv2.weight': convolution(9 * DECODER, image.channels, pixels),
    'decoder.conv2.bias': vector(image.channels),
    'task.conv.weight': convolution(9 * channels, width, cells),
    ...normTensors('task.bn', width),
    ...linearTensors('task.fc1', width, HIDDEN, { uses: 1 }),
    ...linearTensors('task.fc2', HIDDEN, outputsOf(sizes, options), { uses: 1 }),
  });
  // The resized features, the inputs and outputs of batch norms and ReLUs, and the logits of pixels beside their targets.
  const decoder = pixels * (channels + 2 * DECODER + 2 * image.channels);
  const trained = decoder + 2 * width * cells + width + HIDDEN;
  return { ...cost, activations: { trained, workspace: 2 * pixels * DECODER } };
}

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
