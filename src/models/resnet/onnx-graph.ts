import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import {
  type Graph,
  type GraphBuilder,
  type GraphOptions,
  graphBuilder,
  normalised,
  type Weights,
  weightsFor,
} from '../../onnx/graph.js';
import { type BlockShape, blockShape, type ResnetConfig } from './geometry.js';

interface Parts extends Weights {
  readonly graph: GraphBuilder;
}

/** Epsilon of batch norm, PyTorch's default. */
const EPSILON = 1e-5;
/** Batch norm's counter of batches, which evaluation does not use. */
const COUNTER = /(^|\.)num_batches_tracked$/;

/** The evaluation pass of models/resnet/resnet.ts; see `modelGraph`. */
export function resnetGraph(
  config: ResnetConfig,
  weights: ReadonlyMap<string, TensorData>,
  source: string,
  { normalisation }: GraphOptions = {},
): Graph {
  const graph = graphBuilder();
  const used = new Map([...weights].filter(([name]) => !COUNTER.test(name)));
  const { unused, ...ofModel } = weightsFor(graph, used, source);
  const parts: Parts = { graph, ...ofModel };
  const { channels, imageSize, classes, blocks, widths, shortcut } = config;
  let x = normalisation ? normalised(graph, 'pixels', normalisation) : 'pixels';
  const stem = { inputs: channels, outputs: widths[0], stride: 1 };
  x = relu(parts, norm(parts, convolution(parts, x, 'conv1', stem, 3), 'bn1', widths[0]), 'bn1');
  const depth = blocks.reduce((a, b) => a + b, 0);
  for (let i = 0; i < depth; i++) {
    x = block(parts, x, `blocks.${i}`, { ...blockShape(config, { from: i, to: i + 1 }), shortcut });
  }
  const pooled = graph.node('GlobalAveragePool', 'pool', [x]);
  const flat = graph.node('Flatten', 'flat', [pooled], { axis: 1 });
  const matrix = ofModel.transposed('fc.weight', [classes, widths[widths.length - 1]]);
  const product = graph.node('MatMul', 'fc/product', [flat, matrix]);
  graph.node('Add', 'logits', [product, ofModel.weight('fc.bias', [classes])]);
  const left = unused();
  if (left.length > 0) {
    throw new InputError(`${source} contains ${left.join(', ')}, which the model does not have`);
  }
  return graph.build({
    inputs: [{ name: 'pixels', shape: ['batch', channels, imageSize, imageSize] }],
    outputs: [{ name: 'logits', shape: ['batch', classes] }],
  });
}

function block(
  parts: Parts,
  x: string,
  name: string,
  shape: BlockShape & { readonly shortcut: 'A' | 'B' },
): string {
  const { inputs, outputs, stride } = shape;
  const after = { inputs: outputs, outputs, stride: 1 };
  const inner = norm(parts, convolution(parts, x, `${name}.conv1`, shape, 3), `${name}.bn1`, outputs);
  const activated = relu(parts, inner, `${name}.bn1`);
  const branch = norm(
    parts,
    convolution(parts, activated, `${name}.conv2`, after, 3),
    `${name}.bn2`,
    outputs,
  );
  const isSame = stride === 1 && inputs === outputs;
  const residual = isSame
    ? x
    : shape.shortcut === 'A'
      ? padded(parts, x, name, shape)
      : projected(parts, x, name, shape);
  return relu(parts, parts.graph.node('Add', `${name}/add`, [branch, residual]), name);
}

function projected(parts: Parts, x: string, name: string, shape: BlockShape): string {
  const convolved = convolution(parts, x, `${name}.downsample.0`, shape, 1);
  return norm(parts, convolved, `${name}.downsample.1`, shape.outputs);
}

/** Every `stride`-th pixel, with channels of zeros before and after. */
function padded({ graph }: Parts, x: string, name: string, { inputs, outputs, stride }: BlockShape): string {
  const pair = (value: number) => graph.integers(value, value);
  const end = graph.integers(2 ** 31, 2 ** 31);
  const sampled = graph.node('Slice', `${name}/sample`, [
    x,
    pair(0),
    end,
    graph.integers(2, 3),
    pair(stride),
  ]);
  const before = Math.floor((outputs - inputs) / 2);
  const pads = graph.integers(0, before, 0, 0, 0, outputs - inputs - before, 0, 0);
  return graph.node('Pad', `${name}/pad`, [sampled, pads]);
}

function convolution(
  { graph, weight }: Parts,
  x: string,
  name: string,
  { inputs, outputs, stride }: BlockShape,
  kernel: 1 | 3,
): string {
  const side = kernel === 3 ? 1 : 0;
  return graph.node(
    'Conv',
    `${name}/conv`,
    [x, weight(`${name}.weight`, [outputs, inputs, kernel, kernel])],
    {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [side, side, side, side],
    },
  );
}

function norm({ graph, weight }: Parts, x: string, name: string, width: number): string {
  const parts = ['weight', 'bias', 'running_mean', 'running_var'].map((part) =>
    weight(`${name}.${part}`, [width]),
  );
  return graph.node('BatchNormalization', `${name}/norm`, [x, ...parts], { epsilon: { float: EPSILON } });
}

function relu({ graph }: Parts, x: string, name: string): string {
  return graph.node('Relu', `${name}/relu`, [x]);
}
