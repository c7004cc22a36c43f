import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import {
  addGelu,
  type Graph,
  type GraphBuilder,
  type GraphOptions,
  graphBuilder,
  normalised,
  type Weights,
  weightsFor,
} from '../../onnx/graph.js';
import { requireExportable } from '../dense/classifier-only.js';
import type { UperNetConfig } from '../dense/decoder-config.js';
import { isTrainingOnly, upernetGraph } from '../dense/onnx-graph.js';
import {
  headTokens,
  hiddenWidth,
  isMeanPooled,
  prefixTokens,
  slotCount,
  tokenCount,
  type VitConfig,
} from './config.js';

/** Inputs for building the graph: the builder, the model's weights, and its geometry. */
interface Parts extends Weights {
  readonly graph: GraphBuilder;
  readonly config: VitConfig;
}

/**
 * The evaluation pass of models/vit/vit.ts as an ONNX graph (operator set 17), float32:
 * `pixels` [batch, channels, S, S] -> `logits` [batch, classes]. With a decoder that labels pixels, [batch, classes, S, S].
 *
 * @param weights of the undivided model, any dtype; converted one at a time, when the graph is written
 * @param source origin of the weights, for messages
 * @throws InputError if a weight is missing, unexpected, or has another shape
 */
export function vitGraph(
  config: VitConfig,
  weights: ReadonlyMap<string, TensorData>,
  source: string,
  { normalisation }: GraphOptions = {},
): Graph {
  requireExportable(config, source);
  const graph = graphBuilder();
  const used = config.decoder ? new Map([...weights].filter(([name]) => !isTrainingOnly(name))) : weights;
  const { unused, ...ofModel } = weightsFor(graph, used, source);
  const parts: Parts = { graph, config, ...ofModel };
  const { channels, imageSize, classes, depth } = config;
  let x = normalisation ? normalised(graph, 'pixels', normalisation) : 'pixels';
  x = stem(parts, x);
  const outputs = Array.from({ length: depth }, (_, i) => {
    x = block(parts, x, i);
    return x;
  });
  if (config.decoder) decode(parts, outputs, config.decoder);
  else head(parts, x);
  const left = unused();
  if (left.length > 0) {
    throw new InputError(`${source} contains ${left.join(', ')}, which the model does not have`);
  }
  return graph.build({
    inputs: [{ name: 'pixels', shape: ['batch', channels, imageSize, imageSize] }],
    outputs: [
      { name: 'logits', shape: ['batch', classes, ...(config.decoder ? [imageSize, imageSize] : [])] },
    ],
  });
}

/** The outputs of the tapped blocks -> `logits` [B, classes, S, S]. */
function decode(parts: Parts, outputs: readonly string[], decoder: UperNetConfig): void {
  const { graph, config } = parts;
  const { width, imageSize, patchSize, classes } = config;
  const grid = imageSize / patchSize;
  const taps = decoder.taps.map((block, i) => {
    const name = `taps.${i}`;
    const patches = tokensBetween(
      graph,
      `${name}/patches`,
      outputs[block],
      prefixTokens(config),
      tokenCount(config),
    );
    const planes = graph.node('Transpose', `${name}/planes`, [patches], { perm: [0, 2, 1] });
    return graph.node('Reshape', `${name}/map`, [planes, graph.integers(0, width, grid, grid)]);
  });
  upernetGraph({ ...parts, plan: { decoder, width, classes, patchSize } }, taps, { grid, image: imageSize });
}

/** [B, C, S, S] -> [B, N, D] */
function stem({ graph, weight, config }: Parts, pixels: string): string {
  const { patchSize: patch, channels, width, classToken, distilled, registers = 0 } = config;
  const position = weight('pos_embed', [1, slotCount(config), width]);
  const kernel = weight('patch_embed.proj.weight', [width, channels, patch, patch]);
  const cells = graph.node(
    'Conv',
    'patch_embed/conv',
    [pixels, kernel, weight('patch_embed.proj.bias', [width])],
    { kernel_shape: [patch, patch], strides: [patch, patch] },
  );
  const flat = graph.node('Reshape', 'patch_embed/flat', [cells, graph.integers(0, width, -1)]);
  let x = graph.node('Transpose', 'patch_embed/tokens', [flat], { perm: [0, 2, 1] });
  if (config.noEmbedClass) x = graph.node('Add', 'stem/add', [x, position]);
  const before = [
    { name: 'cls_token', tokens: Number(classToken) },
    { name: 'dist_token', tokens: Number(distilled ?? false) },
    { name: 'reg_token', tokens: registers },
  ].filter(({ tokens }) => tokens > 0);
  if (before.length > 0) {
    const batch = graph.node('Shape', 'stem/batch', [x], { start: 0, end: 1 });
    const expanded = before.map(({ name, tokens }) => {
      const shape = graph.node('Concat', `stem/${name}/shape`, [batch, graph.integers(tokens, width)], {
        axis: 0,
      });
      return graph.node('Expand', `stem/${name}`, [weight(name, [1, tokens, width]), shape]);
    });
    x = graph.node('Concat', 'stem/concat', [...expanded, x], { axis: 1 });
  }
  return config.noEmbedClass ? x : graph.node('Add', 'stem/add', [x, position]);
}

/** [B, N, D] -> [B, N, D]; as in models/vit/vit.ts, the last block outputs only the tokens that the heads read. */
function block(parts: Parts, x: string, index: number): string {
  const { graph, config } = parts;
  const name = `blocks.${index}`;
  const isLast = !config.decoder && !isMeanPooled(config) && index === config.depth - 1;
  const read = isLast ? headTokens(config) : null;
  const residual = read === null ? x : firstTokens(graph, `${name}/read`, x, read);
  const mixed = attention(parts, norm(parts, x, `${name}.norm1`), `${name}.attn`, read);
  const y = graph.node('Add', `${name}/add1`, [residual, layerScale(parts, mixed, `${name}.ls1`)]);
  const hidden = hiddenWidth(config);
  const inner = linear(parts, norm(parts, y, `${name}.norm2`), `${name}.mlp.fc1`, config.width, hidden);
  const activated = addGelu(graph, inner, `${name}.mlp/gelu`);
  const outer = linear(parts, activated, `${name}.mlp.fc2`, hidden, config.width);
  return graph.node('Add', `${name}/add2`, [y, layerScale(parts, outer, `${name}.ls2`)]);
}

function layerScale({ graph, weight, config }: Parts, x: string, name: string): string {
  if (config.layerScale === undefined) return x;
  return graph.node('Mul', `${name}/mul`, [x, weight(`${name}.gamma`, [config.width])]);
}

function attention(parts: Parts, x: string, name: string, read: number | null): string {
  const { graph, config } = parts;
  const { width, heads, qkvBias, qkNorm } = config;
  const joined = linear(parts, x, `${name}.qkv`, width, 3 * width, qkvBias);
  const thirds = ['query', 'key', 'value'].map((part) => `${name}/${part}`);
  const [query, key, value] = graph.nodes('Split', thirds, [joined], { axis: -1 });
  const byHead = (part: string, perm: readonly number[], normName?: string) => {
    const shape = graph.integers(0, 0, heads, width / heads);
    const split = graph.node('Reshape', `${part}/heads`, [part, shape]);
    const normed = normName && qkNorm ? norm(parts, split, `${name}.${normName}`, width / heads) : split;
    return graph.node('Transpose', `${part}/by_head`, [normed], { perm });
  };
  const asking = read === null ? query : firstTokens(graph, `${query}/read`, query, read);
  const scale = graph.floats('attention_scale', 1 / Math.sqrt(width / heads));
  const scaled = graph.node('Mul', `${name}/scaled`, [byHead(asking, [0, 2, 1, 3], 'q_norm'), scale]);
  const scores = graph.node('MatMul', `${name}/scores`, [scaled, byHead(key, [0, 2, 3, 1], 'k_norm')]);
  const shares = graph.node('Softmax', `${name}/softmax`, [scores], { axis: -1 });
  const mixed = graph.node('MatMul', `${name}/mixed`, [shares, byHead(value, [0, 2, 1, 3])]);
  const byToken = graph.node('Transpose', `${name}/by_token`, [mixed], { perm: [0, 2, 1, 3] });
  const tokens = graph.node('Reshape', `${name}/joined`, [byToken, graph.integers(0, 0, width)]);
  return linear(parts, tokens, `${name}.proj`, width, width);
}

/** [B, N, D] -> `logits` [B, classes]. With two heads, the mean of their logits. */
function head(parts: Parts, x: string): void {
  const { graph, config } = parts;
  const { width, classes, distilled, fcNorm } = config;
  if (isMeanPooled(config)) {
    linear(parts, pooledMean(parts, x), 'head', width, classes, true, 'logits');
    return;
  }
  const tokens = norm(parts, x, fcNorm ? 'fc_norm' : 'norm');
  if (!distilled) {
    const token = graph.node('Squeeze', 'head/token', [tokens, graph.integers(1)]);
    linear(parts, token, 'head', width, classes, true, 'logits');
  } else {
    const both = graph.nodes('Split', ['head/class', 'head_dist/teacher'], [tokens], { axis: 1 });
    const logits = ['head', 'head_dist'].map((name, i) => {
      const token = graph.node('Squeeze', `${name}/token`, [both[i], graph.integers(1)]);
      return linear(parts, token, name, width, classes);
    });
    const sum = graph.node('Add', 'head/sum', logits);
    graph.node('Mul', 'logits', [sum, graph.floats('half', 0.5)]);
  }
}

/** [B, N, D] -> [B, D]: mean of the patch tokens. */
function pooledMean(parts: Parts, x: string): string {
  const { graph, config } = parts;
  const prefix = prefixTokens(config);
  const patches = prefix > 0 ? tokensBetween(graph, 'head/patches', x, prefix, tokenCount(config)) : x;
  const mean = (tokens: string) =>
    graph.node('ReduceMean', 'head/mean', [tokens], { axes: [1], keepdims: 0 });
  return config.fcNorm ? norm(parts, mean(patches), 'fc_norm') : mean(norm(parts, patches, 'norm'));
}

/** LayerNorm, or RMSNorm, for which operator set 17 has no operator. */
function norm({ graph, weight, config }: Parts, x: string, name: string, width = config.width): string {
  const scale = weight(`${name}.weight`, [width]);
  if (config.norm === 'rms') {
    const square = graph.node('Mul', `${name}/square`, [x, x]);
    const mean = graph.node('ReduceMean', `${name}/mean`, [square], { axes: [-1], keepdims: 1 });
    const above = graph.node('Add', `${name}/add`, [mean, graph.floats('norm_eps', config.layerNormEps)]);
    const root = graph.node('Sqrt', `${name}/sqrt`, [above]);
    const divided = graph.node('Div', `${name}/div`, [x, root]);
    return graph.node('Mul', `${name}/norm`, [divided, scale]);
  }
  const bias = weight(`${name}.bias`, [width]);
  const attributes = { axis: -1, epsilon: { float: config.layerNormEps } };
  return graph.node('LayerNormalization', `${name}/norm`, [x, scale, bias], attributes);
}

function linear(
  { graph, weight, transposed }: Parts,
  x: string,
  name: string,
  inputs: number,
  outputs: number,
  hasBias = true,
  output = `${name}/out`,
): string {
  const matrix = transposed(`${name}.weight`, [outputs, inputs]);
  if (!hasBias) return graph.node('MatMul', output, [x, matrix]);
  const product = graph.node('MatMul', `${name}/product`, [x, matrix]);
  return graph.node('Add', output, [product, weight(`${name}.bias`, [outputs])]);
}

/** [B, N, D] -> [B, count, D] */
function firstTokens(graph: GraphBuilder, name: string, x: string, count: number): string {
  return tokensBetween(graph, name, x, 0, count);
}

/** [B, N, D] -> [B, to - from, D] */
function tokensBetween(graph: GraphBuilder, name: string, x: string, from: number, to: number): string {
  const [start, end, axis] = [from, to, 1].map((value) => graph.integers(value));
  return graph.node('Slice', name, [x, start, end, axis]);
}
