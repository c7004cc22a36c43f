import { convolution, linearTensors, normTensors, partCost, vector } from '../part-cost.js';
import type { BlockActivations, BlockCost, TensorCost } from '../staged.js';
import { BOX_SIZE } from './box-head.js';
import type { DetectorPlan } from './detector.js';
import { MASK_REGION_SIZE, MASK_SIZE } from './mask-head.js';

type Tensors = Record<string, TensorCost>;

/** Places of a pyramid's maps per patch of the backbone. */
const AREAS = [16, 4, 1, 1 / 4] as const;
const PYRAMID_AREA = AREAS.reduce((sum, area) => sum + area, 0);
/** With the map that has only anchors. */
const ANCHOR_AREA = PYRAMID_AREA + AREAS[3] / 4;
const RATIOS = 3;
/** Regions of an image that the heads read in training: 512, of which at most a quarter have masks. */
const [BOX_REGIONS, MASK_REGIONS] = [512, 128];

/**
 * The cost of a detector for images of `imageSize` pixels. Norms, RoIAlign, suppression and losses count no multiply-accumulates; the
 * heads read as many regions as in training.
 */
export function detectorCost(plan: DetectorPlan, imageSize: number): BlockCost {
  const patches = (imageSize / plan.patchSize) ** 2;
  const tensors = { ...pyramidTensors(plan, patches), ...fpnTensors(plan, patches), ...headTensors(plan) };
  return { ...partCost(tensors), activations: detectorActivations(plan, patches) };
}

function pyramidTensors({ width }: DetectorPlan, patches: number): Tensors {
  const name = (rest: string) => `pyramid.${rest}`;
  const up = (rest: string, uses: number) => conv(name(rest), width, 4 * width, uses, width);
  return {
    ...Object.assign({}, ...AREAS.map((_, i) => normTensors(name(`norms.${i}`), width))),
    ...up('up4.0', patches),
    ...normTensors(name('up4.1'), width),
    ...up('up4.2', 4 * patches),
    ...up('up2', patches),
  };
}

function fpnTensors({ width, detector: { channels } }: DetectorPlan, patches: number): Tensors {
  const name = (rest: string) => `detector.${rest}`;
  const all = ANCHOR_AREA * patches;
  return {
    ...Object.assign(
      {},
      ...AREAS.flatMap((area, i) => [
        conv(name(`fpn.lateral.${i}`), width, channels, area * patches),
        conv(name(`fpn.output.${i}`), 9 * channels, channels, area * patches),
      ]),
    ),
    ...conv(name('rpn.conv'), 9 * channels, channels, all),
    ...conv(name('rpn.objectness'), channels, RATIOS, all),
    ...conv(name('rpn.offsets'), channels, 4 * RATIOS, all),
  };
}

function headTensors({ classes, detector: { channels, hidden } }: DetectorPlan): Tensors {
  const box = (rest: string) => `detector.box_head.${rest}`;
  const mask = (rest: string) => `detector.mask_head.${rest}`;
  const uses = BOX_REGIONS;
  const [read, made] = [MASK_REGION_SIZE, MASK_SIZE].map((side) => MASK_REGIONS * side ** 2);
  return {
    ...linearTensors(box('fc1'), channels * BOX_SIZE ** 2, hidden, { uses }),
    ...linearTensors(box('fc2'), hidden, hidden, { uses }),
    ...linearTensors(box('classes'), hidden, classes + 1, { uses }),
    ...linearTensors(box('offsets'), hidden, 4 * classes, { uses }),
    ...Object.assign({}, ...[0, 1, 2, 3].map((i) => conv(mask(`convs.${i}`), 9 * channels, channels, read))),
    ...conv(mask('upsample'), channels, 4 * channels, read, channels),
    ...conv(mask('masks'), channels, classes, made),
  };
}

/** @param inputs elements of one window */
function conv(name: string, inputs: number, outputs: number, uses: number, biases = outputs): Tensors {
  return {
    [`${name}.weight`]: convolution(inputs, outputs, Math.ceil(uses)),
    [`${name}.bias`]: vector(biases),
  };
}

/**
 * The elements that a detector and its losses keep for the backward pass, for one image. A convolution and a norm keep their input, ReLU
 * its output, max-pooling its input and 64-bit indices, RoIAlign the places that it averages. Adding and resizing keep nothing.
 */
function detectorActivations(plan: DetectorPlan, patches: number): BlockActivations {
  const { width, detector } = plan;
  const taps = 4 * width * patches;
  const kept = taps + pyramid(width, patches) + fpn(detector.channels, patches) + heads(plan);
  return {
    trained: kept,
    suffix: kept,
    input: taps,
    // RoIAlign reads the pyramid as rows of channels: they are copied, and joined.
    workspace: 2 * detector.channels * PYRAMID_AREA * patches,
  };
}

/** Of `VitPyramid`, with its outputs. */
function pyramid(width: number, patches: number): number {
  const [finest, finer, , coarsest] = AREAS;
  // Four norms; the first convolution, its norm and GELU; outputs, of which the third is a norm's; indices of the maxima.
  return width * patches * (4 + 3 * finer + finest + finer + coarsest + 2 * coarsest);
}

/** Sums of the pyramid, its outputs, and what the region proposal network makes of them. */
function fpn(channels: number, patches: number): number {
  const anchors = RATIOS * ANCHOR_AREA * patches;
  // The outputs of each map, and of all maps as one: objectness and four offsets.
  return channels * patches * (PYRAMID_AREA + 2 * ANCHOR_AREA) + 2 * 5 * anchors;
}

/** About as many places are averaged in each bin of a region. */
const PLACES_A_BIN = 12;

function heads({ classes, detector: { channels, hidden } }: DetectorPlan): number {
  const bin = channels + 2 * PLACES_A_BIN;
  const box = bin * BOX_SIZE ** 2 + 2 * hidden + 2 * (classes + 1) + 4 * classes;
  // Regions, four convolutions, the transposed one, and masks.
  const mask = (bin + 4 * channels) * MASK_REGION_SIZE ** 2 + (channels + classes) * MASK_SIZE ** 2;
  return BOX_REGIONS * box + MASK_REGIONS * mask;
}
