import { InputError } from '../../base/errors.js';
import { requireWhole } from '../../base/numbers.js';
import { BatchNorm2d, Conv2d } from '../../nn/convolutional.js';
import { type InitContext, setToZero } from '../../nn/init.js';
import { dropPathOf, Linear } from '../../nn/layers.js';
import { Module } from '../../nn/module.js';
import { add, globalAveragePool2d, pad, relu, slice } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import { convolution, linearTensors, normTensors, partCost } from '../part-cost.js';
import {
  type BlockActivations,
  type BlockCost,
  type BlockSpan,
  type Blueprint,
  Layer,
  type Pass,
} from '../staged.js';
import { type BlockShape, blockShape, featureShape, type ResnetConfig, sizeAt } from './geometry.js';

/** Counts the multiply-accumulates of convolutions and the classifier, as the literature does. */
function resnetCost(config: ResnetConfig): Blueprint['cost'] {
  const { channels, classes, imageSize, widths } = config;
  const [first, last] = [widths[0], widths[widths.length - 1]];
  return {
    tokens: imageSize ** 2,
    stem: partCost({
      'conv1.weight': convolution(9 * channels, first, imageSize ** 2),
      ...normTensors('bn1', first),
    }),
    block: (span) => blockCost(config, span),
    head: partCost(linearTensors('fc', last, classes, { uses: 1 })),
  };
}

function blockCost(config: ResnetConfig, span: BlockSpan): BlockCost {
  const shape = blockShape(config, span);
  const { inputs, outputs, stride } = shape;
  const isProjected = config.shortcut === 'B' && (stride !== 1 || inputs !== outputs);
  const pixels = sizeAt(config, outputs) ** 2;
  const cost = partCost({
    'conv1.weight': convolution(9 * inputs, outputs, pixels),
    ...normTensors('bn1', outputs),
    'conv2.weight': convolution(9 * outputs, outputs, pixels),
    ...normTensors('bn2', outputs),
    ...(isProjected && {
      'downsample.0.weight': convolution(inputs, outputs, pixels),
      ...normTensors('downsample.1', outputs),
    }),
  });
  return { ...cost, activations: activations(config, shape, isProjected ? 3 : 2) };
}

/** Batch norms keep their inputs; each ReLU keeps its output, which it shares with the next convolution. */
function activations(config: ResnetConfig, { inputs, outputs }: BlockShape, norms: number): BlockActivations {
  const output = outputs * sizeAt(config, outputs) ** 2;
  const kept = (norms + 2) * output;
  return {
    trained: kept,
    suffix: kept,
    input: inputs * sizeAt(config, inputs) ** 2,
    workspace: 2 * output,
  };
}

/**
 * A ResNet for CIFAR: 3x3 convolution, basic blocks, global average pooling and a linear classifier.
 * @throws InputError if a size is invalid, or a width is not a multiple of the previous one
 *
 * @example
 * const resnet20 = resnet({
 *   imageSize: 32, channels: 3, classes: 10, blocks: [3, 3, 3], widths: [16, 32, 64], shortcut: 'A',
 * });
 * const model = assemble(resnet20, divide(9, { modules: 3 }), null, {
 *   device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']),
 * });
 * console.log(model.stages.length, resnet20.cost.block({ from: 0, to: 1 }).macs);
 */
export function resnet(config: ResnetConfig): Blueprint {
  requireSizes(config);
  return {
    depth: config.blocks.reduce((a, b) => a + b, 0),
    input: { channels: config.channels, size: config.imageSize },
    classes: config.classes,
    undecayed: [],
    makeStem: (context) => new ResnetStem(config, context),
    makeBlock(dropPathRate, context, place) {
      const block = new BasicBlock(blockShape(config, place), config.shortcut, dropPathRate, context);
      if (config.zeroInit) block.zeroBranches();
      return block;
    },
    makeHead: (context) => new ResnetHead(config, context),
    featureShape: (block) => featureShape(config, block),
    featureMap: { shape: (block) => featureShape(config, block), of: (features) => features },
    zeroBranches: (block) => (block as BasicBlock).zeroBranches(),
    cost: resnetCost(config),
    costAt: (imageSize) => resnetCost({ ...config, imageSize }),
  };
}

function requireSizes({ imageSize, channels, classes, blocks, widths }: ResnetConfig): void {
  for (const [name, value] of Object.entries({ imageSize, channels, classes })) requireWhole(name, value, 1);
  if (blocks.length !== widths.length) {
    throw new InputError(`blocks has ${blocks.length} entries, but widths has ${widths.length}`, {
      hint: 'set the number of blocks for each width',
    });
  }
  requireWhole('the number of widths', widths.length, 1);
  for (const [i, width] of widths.entries()) {
    requireWhole(`widths[${i}]`, width, 1);
    requireWhole(`blocks[${i}]`, blocks[i], 0);
    if (i > 0 && width % widths[i - 1] !== 0) {
      throw new InputError(`widths[${i}] ${width} is not a multiple of the previous width ${widths[i - 1]}`);
    }
  }
  requireWhole('the number of blocks of the last width', blocks[blocks.length - 1], 1);
}

/** [B, C, S, S] -> [B, widths[0], S, S]. */
class ResnetStem extends Layer {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;

  constructor({ channels, widths: [width] }: ResnetConfig, context: InitContext) {
    super();
    this.conv1 = conv3x3(channels, width, 1, context);
    this.bn1 = new BatchNorm2d(width, context);
  }

  forward(x: Tensor, pass: Pass): Tensor {
    return relu(this.bn1.forward(this.conv1.forward(x), pass));
  }
}

/** Two 3x3 convolutions with batch norm; the first has the stride. */
class BasicBlock extends Layer {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample: Projection | null;
  readonly #shape: BlockShape;
  readonly #dropPath: number;

  constructor(shape: BlockShape, shortcut: 'A' | 'B', dropPathRate: number, context: InitContext) {
    super();
    const { inputs, outputs, stride } = shape;
    this.conv1 = conv3x3(inputs, outputs, stride, context);
    this.bn1 = new BatchNorm2d(outputs, context);
    this.conv2 = conv3x3(outputs, outputs, 1, context);
    this.bn2 = new BatchNorm2d(outputs, context);
    const changes = stride !== 1 || inputs !== outputs;
    this.downsample = changes && shortcut === 'B' ? new Projection(shape, context) : null;
    this.#shape = shape;
    this.#dropPath = dropPathRate;
  }

  forward(x: Tensor, pass: Pass): Tensor {
    const drop = dropPathOf(this.#dropPath, pass);
    const inner = relu(this.bn1.forward(this.conv1.forward(x), pass));
    const branch = drop(this.bn2.forward(this.conv2.forward(inner), pass));
    return relu(add(branch, this.downsample?.forward(x, pass) ?? padded(x, this.#shape)));
  }

  /** The last ReLU does not change its input, because the stem and every block end with a ReLU. */
  zeroBranches(): void {
    setToZero(this.bn2);
  }
}

/** Shortcut B. Its children are named as in torch's Sequential. */
class Projection extends Module {
  readonly 0: Conv2d;
  readonly 1: BatchNorm2d;

  constructor({ inputs, outputs, stride }: BlockShape, context: InitContext) {
    super();
    this[0] = new Conv2d(inputs, outputs, { kernel: 1, stride, bias: false }, context);
    this[1] = new BatchNorm2d(outputs, context);
  }

  forward(x: Tensor, pass: Pass): Tensor {
    return this[1].forward(this[0].forward(x), pass);
  }
}

/** Shortcut A: every `stride`-th pixel, with zero channels added evenly before and after. */
function padded(x: Tensor, { inputs, outputs, stride }: BlockShape): Tensor {
  if (stride === 1 && inputs === outputs) return x;
  const subsampled = slice(slice(x, 2, 0, undefined, stride), 3, 0, undefined, stride);
  const before = Math.floor((outputs - inputs) / 2);
  return pad(subsampled, [0, 0, 0, 0, before, outputs - inputs - before]);
}

/** [B, D, S, S] -> [B, classes]. */
class ResnetHead extends Layer {
  readonly fc: Linear;

  constructor({ widths, classes }: ResnetConfig, context: InitContext) {
    super();
    this.fc = new Linear(widths[widths.length - 1], classes, context, { init: 'fan-in' });
  }

  forward(x: Tensor): Tensor {
    return this.fc.forward(this.features(x));
  }

  override features(x: Tensor): Tensor {
    return globalAveragePool2d(x);
  }
}

function conv3x3(inputs: number, outputs: number, stride: number, context: InitContext): Conv2d {
  return new Conv2d(inputs, outputs, { kernel: 3, stride, padding: 1, bias: false }, context);
}
