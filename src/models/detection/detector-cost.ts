import { convolution, linearTensors, normTensors, partCost, vector } from '../part-cost.js';
import type { PartCost, TensorCost } from '../staged.js';
import { BOX_SIZE } from './box-head.js';
import type { DetectorPlan } from './detector.js';
import { MASK_REGION_SIZE, MASK_SIZE } from './mask-head.js';

type Tensors = Record<string, TensorCost>;

/** Places of a pyramid's maps per patch of the backbone. */
const AREAS = [16, 4, 1, 1 / 4] as const;
const RATIOS = 3;
/** Regions of an image that the heads read in training: 512, of which at most a quarter have masks. */
const [BOX_REGIONS, MASK_REGIONS] = [512, 128];

/**
 * The cost of a detector for images of `imageSize` pixels. Norms, RoIAlign, suppression and losses count no multiply-accumulates; the
 * heads read as many regions as in training.
 */
export function detectorCost(plan: DetectorPlan, imageSize: number): PartCost {
  const patches = (imageSize / plan.patchSize) ** 2;
  const tensors = { ...pyramidTensors(plan, patches), ...fpnTensors(plan, patches), ...headTensors(plan) };
  return partCost(tensors);
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
  const all = [...AREAS, AREAS[3] / 4].reduce((sum, area) => sum + area * patches, 0);
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
