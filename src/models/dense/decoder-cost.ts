import { convolution, normTensors, partCost, vector } from '../part-cost.js';
import type { BlockActivations, BlockCost, TensorCost } from '../staged.js';
import { mapSize, NECK_SCALES, POOL_SIZES, type Size } from './decoder-config.js';
import type { DecoderPlan } from './upernet.js';

type Tensors = Record<string, TensorCost>;

/** The cost of a decoder for images of `imageSize` pixels. Norms, pooling and resizing count no multiply-accumulates. */
export function decoderCost(plan: DecoderPlan, imageSize: number): BlockCost {
  const side = imageSize / plan.patchSize;
  const grid: Size = [side, side];
  const tensors = { ...neckTensors(plan, grid), ...headTensors(plan, grid), ...auxiliaryTensors(plan, grid) };
  return { ...partCost(tensors), activations: decoderActivations(plan, imageSize) };
}

function neckTensors({ decoder, width }: DecoderPlan, grid: Size): Tensors {
  const area = grid[0] * grid[1];
  if (decoder.neck === 'deconv') {
    return {
      ...plainConv('neck.upsample_4x.0', 4 * width, width, area, width),
      ...normTensors('neck.upsample_4x.1', width),
      ...plainConv('neck.upsample_4x.3', 4 * width, width, 4 * area, width),
      ...plainConv('neck.upsample_2x.0', 4 * width, width, area, width),
    };
  }
  return merged(
    NECK_SCALES.map((_, i) => ({
      ...plainConv(`neck.lateral_convs.${i}.conv`, width, width, area),
      ...plainConv(`neck.convs.${i}.conv`, 9 * width, width, areaOf(mapSize(grid, i))),
    })),
  );
}

function headTensors({ decoder: { channels }, width, classes }: DecoderPlan, grid: Size): Tensors {
  const name = (rest: string) => `decode_head.${rest}`;
  const areas = NECK_SCALES.map((_, i) => areaOf(mapSize(grid, i)));
  const [finest, coarsest] = [areas[0], areas[areas.length - 1]];
  return {
    ...plainConv(name('conv_seg'), channels, classes, finest),
    ...merged(
      POOL_SIZES.map((size, i) => convModule(name(`psp_modules.${i}.1`), width, channels, size * size)),
    ),
    ...convModule(name('bottleneck'), 9 * (width + POOL_SIZES.length * channels), channels, coarsest),
    ...merged(
      areas.slice(0, -1).map((area, i) => convModule(name(`lateral_convs.${i}`), width, channels, area)),
    ),
    ...merged(
      areas.slice(0, -1).map((area, i) => convModule(name(`fpn_convs.${i}`), 9 * channels, channels, area)),
    ),
    ...convModule(name('fpn_bottleneck'), 9 * areas.length * channels, channels, finest),
  };
}

function auxiliaryTensors({ decoder, width, classes }: DecoderPlan, grid: Size): Tensors {
  const area = areaOf(mapSize(grid, decoder.auxTap));
  return {
    ...plainConv('auxiliary_head.conv_seg', decoder.auxChannels, classes, area),
    ...convModule('auxiliary_head.convs.0', 9 * width, decoder.auxChannels, area),
  };
}

/** @param fan number of inputs of an output: kernel area times channels */
function convModule(name: string, fan: number, outputs: number, uses: number): Tensors {
  return { [`${name}.conv.weight`]: convolution(fan, outputs, uses), ...normTensors(`${name}.bn`, outputs) };
}

function plainConv(name: string, fan: number, outputs: number, uses: number, biases = outputs): Tensors {
  return { [`${name}.weight`]: convolution(fan, outputs, uses), [`${name}.bias`]: vector(biases) };
}

function areaOf([height, width]: Size): number {
  return height * width;
}

function merged(parts: readonly Tensors[]): Tensors {
  return Object.assign({}, ...parts);
}

/**
 * The elements that a decoder and the loss of its logits keep for the backward pass, for one image of `imageSize` pixels.
 *
 * A convolution keeps its input, batch norm and GELU theirs, ReLU its output. Resizing, pooling to a size and adding keep nothing.
 * The loss keeps the logits of both heads at the size of the labels and their log-softmax, which is most of it if there are many
 * classes.
 */
function decoderActivations(plan: DecoderPlan, imageSize: number): BlockActivations {
  const side = imageSize / plan.patchSize;
  const grid: Size = [side, side];
  const areas = NECK_SCALES.map((_, i) => areaOf(mapSize(grid, i)));
  const taps = NECK_SCALES.length * areaOf(grid) * plan.width;
  const pixels = plan.classes * imageSize * imageSize;
  const logits = plan.classes * (areas[0] + areas[plan.decoder.auxTap]);
  const kept =
    taps + neck(plan, areas) + head(plan, areas) + auxiliary(plan, areas) + 2 * logits + 4 * pixels;
  return {
    trained: kept,
    suffix: kept,
    input: taps,
    // The gradients of a head's logits and of their log-softmax; or the feature pyramid while it is joined.
    workspace: Math.max(2 * pixels, 2 * plan.decoder.channels * NECK_SCALES.length * areas[0]),
  };
}

/** Including its outputs, which the heads keep. */
function neck({ decoder, width }: DecoderPlan, areas: readonly number[]): number {
  const outputs = areas.reduce((sum, area) => sum + area, 0);
  // Multilevel: the input of the 3x3 convolution has the size of its output.
  if (decoder.neck === 'multilevel') return 2 * width * outputs;
  const [, middle, , coarse] = areas;
  // Input of the batch norm, of GELU and of the second transposed convolution; 64-bit indices of the maxima.
  return width * (outputs + 3 * middle + 2 * coarse);
}

function head({ decoder, width }: DecoderPlan, areas: readonly number[]): number {
  const { channels, dropout } = decoder;
  const [finest] = areas;
  const coarsest = areas[areas.length - 1];
  const finer = areas.slice(0, -1).reduce((sum, area) => sum + area, 0);
  const pooled = POOL_SIZES.reduce((sum, size) => sum + size * size, 0);
  return (
    // Laterals, their sums with the coarser maps, and the 3x3 convolutions.
    (2 + 1 + 2) * channels * finer +
    // Pyramid pooling: inputs and outputs of its convolutions, their concatenation, the bottleneck.
    (width + 2 * channels) * pooled +
    (width + (POOL_SIZES.length + 2) * channels) * coarsest +
    // The concatenated pyramid and its bottleneck.
    (NECK_SCALES.length + 2 + dropped(dropout)) * channels * finest
  );
}

function auxiliary({ decoder }: DecoderPlan, areas: readonly number[]): number {
  const { auxChannels, auxTap, dropout } = decoder;
  return (2 + dropped(dropout)) * auxChannels * areas[auxTap];
}

/** Dropout returns another tensor, which the classifier keeps. */
function dropped(dropout: number): number {
  return dropout > 0 ? 1 : 0;
}
