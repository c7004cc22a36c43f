import type { TensorData } from '../../base/tensor-data.js';
import type { Graph, GraphOptions } from '../../onnx/graph.js';
import type { ModelConfig } from '../family.js';
import { resnetGraph } from '../resnet/onnx-graph.js';
import { vitGraph } from '../vit/onnx-graph.js';

interface Builder {
  build(
    config: ModelConfig,
    weights: ReadonlyMap<string, TensorData>,
    source: string,
    options: GraphOptions,
  ): Graph;
}

const BUILDERS: Readonly<Record<string, Builder>> = {
  vit: { build: vitGraph },
  resnet: { build: resnetGraph },
};

/**
 * The evaluation pass of a model as an ONNX graph (operator set 17), float32:
 * `pixels` [batch, channels, S, S] -> `logits` [batch, classes].
 *
 * @param family name of the model family
 * @param weights of the undivided model, any dtype; converted one at a time, when the graph is written
 * @param source origin of the weights, for messages
 * @throws InputError if a weight is missing, unexpected, or has another shape
 */
export function modelGraph(
  family: string,
  config: ModelConfig,
  weights: ReadonlyMap<string, TensorData>,
  source: string,
  options: GraphOptions = {},
): Graph {
  return BUILDERS[family].build(config, weights, source, options);
}
