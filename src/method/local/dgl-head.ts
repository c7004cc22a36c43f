import { convolution, linearTensors, normTensors, partCost } from '../../models/part-cost.js';
import { BatchNorm2d, Conv2d } from '../../nn/convolutional.js';
import type { InitContext } from '../../nn/init.js';
import { Linear } from '../../nn/layers.js';
import { Module } from '../../nn/module.js';
import { adaptiveAveragePool2d, relu, reshape } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import { type HeadCost, type HeadInput, type HeadSizes, LocalHead, TRAINING } from './local-head.js';

const LAYERS = 3;
/** Side of the grid that the linear layers read. */
const GRID = 2;

/**
 * The auxiliary classifier "mlp-sr" of Decoupled Greedy Learning (Belilovsky et al. 2020, arXiv 1901.08164): averages over
 * cells of 4 x 4, three 1x1 convolutions, averages over a grid of 2 x 2, three linear layers, each with batch norm and ReLU, and
 * a linear classifier.
 */
export class DglHead extends LocalHead {
  readonly convolutions: readonly ConvolutionNorm[];
  readonly layers: readonly LinearNorm[];
  readonly classifier: Linear;
  readonly #pooled: number;

  constructor({ map: [channels, side], classes }: HeadSizes, context: InitContext) {
    super();
    const width = channels * GRID ** 2;
    this.convolutions = Array.from({ length: LAYERS }, () => new ConvolutionNorm(channels, context));
    this.layers = Array.from({ length: LAYERS }, () => new LinearNorm(width, context));
    this.classifier = new Linear(width, classes, context, { init: 'fan-in' });
    this.#pooled = pooled(side);
  }

  loss({ map, lossOf }: HeadInput): Tensor {
    let x = adaptiveAveragePool2d(map, this.#pooled);
    for (const each of this.convolutions) x = each.forward(x);
    x = reshape(adaptiveAveragePool2d(x, GRID), [map.shape[0], -1]);
    for (const each of this.layers) x = each.forward(x);
    return lossOf(this.classifier.forward(x));
  }
}

class ConvolutionNorm extends Module {
  readonly conv: Conv2d;
  readonly bn: BatchNorm2d;

  constructor(channels: number, context: InitContext) {
    super();
    this.conv = new Conv2d(channels, channels, { kernel: 1, bias: false }, context);
    this.bn = new BatchNorm2d(channels, context);
  }

  forward(x: Tensor): Tensor {
    return relu(this.bn.forward(this.conv.forward(x), TRAINING));
  }
}

class LinearNorm extends Module {
  readonly fc: Linear;
  readonly bn: BatchNorm2d;

  constructor(width: number, context: InitContext) {
    super();
    this.fc = new Linear(width, width, context, { init: 'fan-in' });
    // Of vectors: the statistics are those of torch.nn.BatchNorm1d.
    this.bn = new BatchNorm2d(width, context);
  }

  forward(x: Tensor): Tensor {
    return relu(this.bn.forward(this.fc.forward(x), TRAINING));
  }
}

/** Maps are square. */
function pooled(side: number): number {
  return Math.ceil(side / 4);
}

export function dglCost({ map: [channels, side], classes }: HeadSizes): HeadCost {
  const pixels = pooled(side) ** 2;
  const width = channels * GRID ** 2;
  const layers = Array.from({ length: LAYERS }, (_, i) => ({
    [`convolutions.${i}.conv.weight`]: convolution(channels, channels, pixels),
    ...normTensors(`convolutions.${i}.bn`, channels),
    ...linearTensors(`layers.${i}.fc`, width, width, { uses: 1 }),
    ...normTensors(`layers.${i}.bn`, width),
  }));
  const tensors = Object.assign({}, ...layers, linearTensors('classifier', width, classes, { uses: 1 }));
  // Each batch norm keeps its input; each ReLU its output, which the next layer shares.
  const trained = channels * pixels * (1 + 2 * LAYERS) + width * (1 + 2 * LAYERS);
  return {
    ...partCost(tensors),
    activations: { trained, workspace: 2 * Math.max(channels * pixels, width) },
  };
}
