import type { BlockActivations, BlockCost, BlockSpan, Blueprint } from '../staged.js';
import { type BlockShape, blockShape, type ResnetConfig, sizeAt } from './geometry.js';

/** Multiply-accumulates are those of convolutions and the classifier, as the literature counts them. */
export function resnetCost(config: ResnetConfig): Blueprint['cost'] {
  const { channels, classes, imageSize, widths } = config;
  const [first, last] = [widths[0], widths[widths.length - 1]];
  return {
    stem: { macs: imageSize ** 2 * 9 * channels * first, parameters: 9 * channels * first + 2 * first },
    block: (span) => blockCost(config, span),
    head: { macs: last * classes, parameters: (last + 1) * classes },
  };
}

function blockCost(config: ResnetConfig, span: BlockSpan): BlockCost {
  const shape = blockShape(config, span);
  const { inputs, outputs, stride } = shape;
  const isProjected = config.shortcut === 'B' && (stride !== 1 || inputs !== outputs);
  const weights = 9 * inputs * outputs + 9 * outputs ** 2 + (isProjected ? inputs * outputs : 0);
  const norms = isProjected ? 3 : 2;
  return {
    macs: sizeAt(config, outputs) ** 2 * weights,
    parameters: weights + norms * 2 * outputs,
    activations: activations(config, shape, norms),
  };
}

/** Batch norms keep their inputs, and each ReLU what it gives, which the next convolution keeps too. */
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
