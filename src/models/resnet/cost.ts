import { linearTensors, matrix, normTensors, partCost } from '../part-cost.js';
import type { BlockActivations, BlockCost, BlockSpan, Blueprint } from '../staged.js';
import { type BlockShape, blockShape, type ResnetConfig, sizeAt } from './geometry.js';

/** Counts the multiply-accumulates of convolutions and the classifier, as the literature does. */
export function resnetCost(config: ResnetConfig): Blueprint['cost'] {
  const { channels, classes, imageSize, widths } = config;
  const [first, last] = [widths[0], widths[widths.length - 1]];
  return {
    stem: partCost({
      'conv1.weight': matrix(9 * channels, first, imageSize ** 2),
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
    'conv1.weight': matrix(9 * inputs, outputs, pixels),
    ...normTensors('bn1', outputs),
    'conv2.weight': matrix(9 * outputs, outputs, pixels),
    ...normTensors('bn2', outputs),
    ...(isProjected && {
      'downsample.0.weight': matrix(inputs, outputs, pixels),
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
