import { addGelu, type GraphBuilder, type Weights } from '../../onnx/graph.js';
import { mapSize, NECK_SCALES, POOL_SIZES, type Size } from './decoder-config.js';
import type { DecoderPlan } from './upernet.js';

interface Parts extends Weights {
  readonly graph: GraphBuilder;
  readonly plan: DecoderPlan;
}

/** A map of features in the graph. */
interface FeatureMap {
  readonly name: string;
  readonly channels: number;
  readonly size: Size;
}

/** Epsilon of batch norm, PyTorch's default. */
const EPSILON = 1e-5;

/** Tensors of a model that its evaluation pass does not use: the auxiliary head, and batch norm's counters of batches. */
export function isTrainingOnly(name: string): boolean {
  return /^auxiliary_head\.|(^|\.)num_batches_tracked$/.test(name);
}

/**
 * Adds the evaluation pass of upernet.ts and the bilinear resize to the image.
 * @param taps four maps [B, D, grid, grid]
 * @param sides of the grid, and of the image in pixels
 */
export function upernetGraph(
  parts: Parts,
  taps: readonly string[],
  { grid, image }: { readonly grid: number; readonly image: number },
): void {
  const { decoder, width, classes } = parts.plan;
  const tapped = taps.map((name): FeatureMap => ({ name, channels: width, size: [grid, grid] }));
  const maps = decoder.neck === 'multilevel' ? multilevel(parts, tapped) : deconv(parts, tapped);
  const features = decodeHead(parts, maps);
  const logits = convolution(parts, features, 'decode_head.conv_seg', {
    outputs: classes,
    kernel: 1,
    bias: true,
  });
  resized(parts, logits, [image, image], 'logits');
}

function multilevel(parts: Parts, taps: readonly FeatureMap[]): FeatureMap[] {
  return taps.map((tap, i) => {
    const like = { outputs: tap.channels, bias: true };
    const lateral = convolution(parts, tap, `neck.lateral_convs.${i}.conv`, { ...like, kernel: 1 });
    const sized = resized(parts, lateral, mapSize(tap.size, i), `neck/sized.${i}`, NECK_SCALES[i]);
    return convolution(parts, sized, `neck.convs.${i}.conv`, { ...like, kernel: 3 });
  });
}

function deconv(parts: Parts, [first, second, third, fourth]: readonly FeatureMap[]): FeatureMap[] {
  const { graph } = parts;
  const up = norm(parts, doubled(parts, first, 'neck.upsample_4x.0'), 'neck.upsample_4x.1');
  const activated = { ...up, name: addGelu(graph, up.name, 'neck.upsample_4x/gelu') };
  const halves = graph.node('MaxPool', 'neck/halved', [fourth.name], {
    kernel_shape: [2, 2],
    strides: [2, 2],
  });
  return [
    doubled(parts, activated, 'neck.upsample_4x.3'),
    doubled(parts, second, 'neck.upsample_2x.0'),
    third,
    { ...fourth, name: halves, size: mapSize(fourth.size, 3) },
  ];
}

function decodeHead(parts: Parts, maps: readonly FeatureMap[]): FeatureMap {
  const { graph, plan } = parts;
  const { channels } = plan.decoder;
  const module = (x: FeatureMap, name: string, kernel: 1 | 3) =>
    convModule(parts, x, `decode_head.${name}`, { outputs: channels, kernel });
  const top = maps[maps.length - 1];
  const branches = POOL_SIZES.map((size, i) => {
    const pooled = averaged(graph, top, size, `decode_head/pooled.${i}`);
    return resized(parts, module(pooled, `psp_modules.${i}.1`, 1), top.size, `decode_head/branch.${i}`);
  });
  const laterals = [
    ...maps.slice(0, -1).map((map, i) => module(map, `lateral_convs.${i}`, 1)),
    module(joined(graph, [top, ...branches], 'decode_head/top'), 'bottleneck', 3),
  ];
  for (let i = laterals.length - 1; i > 0; i--) {
    const finer = laterals[i - 1];
    const coarse = resized(parts, laterals[i], finer.size, `decode_head/coarse.${i}`);
    const sum = graph.node('Add', `decode_head/sum.${i}`, [finer.name, coarse.name]);
    laterals[i - 1] = { ...finer, name: sum };
  }
  const coarsest = laterals.length - 1;
  const levels = laterals.map((map, i) => (i < coarsest ? module(map, `fpn_convs.${i}`, 3) : map));
  const sized = levels.map((map, i) =>
    i === 0 ? map : resized(parts, map, levels[0].size, `decode_head/level.${i}`),
  );
  return module(joined(graph, sized, 'decode_head/levels'), 'fpn_bottleneck', 3);
}

interface ConvShape {
  readonly outputs: number;
  readonly kernel: 1 | 3;
  readonly bias?: boolean;
}

function convolution(
  { graph, weight }: Parts,
  x: FeatureMap,
  name: string,
  { outputs, kernel, bias = false }: ConvShape,
): FeatureMap {
  const side = (kernel - 1) / 2;
  const kernels = weight(`${name}.weight`, [outputs, x.channels, kernel, kernel]);
  const inputs = [x.name, kernels, ...(bias ? [weight(`${name}.bias`, [outputs])] : [])];
  const attributes = { kernel_shape: [kernel, kernel], pads: [side, side, side, side] };
  return { ...x, name: graph.node('Conv', `${name}/conv`, inputs, attributes), channels: outputs };
}

function convModule(parts: Parts, x: FeatureMap, name: string, shape: ConvShape): FeatureMap {
  const normed = norm(parts, convolution(parts, x, `${name}.conv`, shape), `${name}.bn`);
  return { ...normed, name: parts.graph.node('Relu', `${name}/relu`, [normed.name]) };
}

function norm({ graph, weight }: Parts, x: FeatureMap, name: string): FeatureMap {
  const statistics = ['weight', 'bias', 'running_mean', 'running_var'].map((part) =>
    weight(`${name}.${part}`, [x.channels]),
  );
  const attributes = { epsilon: { float: EPSILON } };
  return {
    ...x,
    name: graph.node('BatchNormalization', `${name}/norm`, [x.name, ...statistics], attributes),
  };
}

function doubled({ graph, weight }: Parts, x: FeatureMap, name: string): FeatureMap {
  const { channels, size } = x;
  const inputs = [
    x.name,
    weight(`${name}.weight`, [channels, channels, 2, 2]),
    weight(`${name}.bias`, [channels]),
  ];
  const up = graph.node('ConvTranspose', `${name}/up`, inputs, { kernel_shape: [2, 2], strides: [2, 2] });
  return { ...x, name: up, size: [2 * size[0], 2 * size[1]] };
}

/**
 * Adaptive average pooling to size x size, for which ONNX has no operator: products with the shares of each place, from the left for the
 * rows and from the right for the columns.
 */
function averaged(graph: GraphBuilder, x: FeatureMap, size: number, name: string): FeatureMap {
  const [rows, columns] = x.size.map((side) => shares(side, size));
  const down = graph.floats(`${name}/rows`, rows.flat(), [size, x.size[0]]);
  const across = graph.floats(`${name}/columns`, transposed(columns).flat(), [x.size[1], size]);
  const narrow = graph.node('MatMul', `${name}/narrow`, [x.name, across]);
  return { ...x, name: graph.node('MatMul', `${name}/mean`, [down, narrow]), size: [size, size] };
}

/** The share of each of `side` places in each of `size` means, as PyTorch's adaptive pooling. */
function shares(side: number, size: number): number[][] {
  return Array.from({ length: size }, (_, i) => {
    const [from, to] = [Math.floor((i * side) / size), Math.ceil(((i + 1) * side) / size)];
    return Array.from({ length: side }, (_, place) => (place >= from && place < to ? 1 / (to - from) : 0));
  });
}

function transposed(matrix: readonly (readonly number[])[]): number[][] {
  return matrix[0].map((_, column) => matrix.map((row) => row[column]));
}

/**
 * Bilinear, align_corners false, as PyTorch.
 * @param scale of both sides, if it is not the ratio of the sizes
 */
function resized({ graph }: Parts, x: FeatureMap, size: Size, name: string, scale?: number): FeatureMap {
  const to =
    scale === undefined
      ? [x.name, '', '', sizesOf(graph, x, size, name)]
      : [x.name, '', graph.floats(`${name}/scales`, [1, 1, scale, scale])];
  const attributes = { mode: 'linear', coordinate_transformation_mode: 'half_pixel' };
  return { ...x, name: graph.node('Resize', name, to, attributes), size };
}

/** The size of all dimensions; that of the batch is known when the model runs. */
function sizesOf(graph: GraphBuilder, x: FeatureMap, size: Size, name: string): string {
  const batch = graph.node('Shape', `${name}/batch`, [x.name], { start: 0, end: 1 });
  return graph.node('Concat', `${name}/size`, [batch, graph.integers(x.channels, ...size)], { axis: 0 });
}

function joined(graph: GraphBuilder, maps: readonly FeatureMap[], name: string): FeatureMap {
  const channels = maps.reduce((sum, map) => sum + map.channels, 0);
  const all = maps.map((map) => map.name);
  return { ...maps[0], name: graph.node('Concat', name, all, { axis: 1 }), channels };
}
