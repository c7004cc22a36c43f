import { convolution, normTensors, partCost, vector } from '../part-cost.js';
import type { BlockCost, TensorCost } from '../staged.js';
import { decoderActivations } from './decoder-activations.js';
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
