import type { RandomKey } from '../../base/random.js';
import type { ImageSides } from '../../data/coco/segmentation.js';
import type { InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { noGrad } from '../../torch/autograd.js';
import { concat } from '../../torch/ops.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import { makeAnchors } from './anchors.js';
import { bestObjects, type FoundBox } from './best-objects.js';
import { BOX_SIZE, BoxHead, boxLosses } from './box-head.js';
import { Fpn } from './fpn.js';
import { MASK_REGION_SIZE, MASK_SIZE, MaskHead, maskLoss, ownMasks } from './mask-head.js';
import { sigmoid } from './operators.js';
import { joinedBoxes, type ObjectsInImage, type Positives, positivesOf } from './positives.js';
import { proposeRegions } from './proposals.js';
import { mapsOf, type SampledRegions, sampleRegions } from './regions.js';
import { pyramidRoiAlign, type Regions } from './roi-align.js';
import { joinOutputs, RpnHead } from './rpn.js';
import { rpnLosses } from './rpn-loss.js';

export interface MaskRcnnSizes {
  /** Channels of each map of the backbone, largest map first. */
  readonly inputs: readonly number[];
  readonly classes: number;
  /** Channels of the pyramid and of the heads. Default 256. */
  readonly channels?: number;
  /** Width of the box head. Default 1024. */
  readonly hidden?: number;
}

/** An object that was found. */
export interface FoundObject extends FoundBox {
  /** 28 x 28 probabilities in the box, row by row: see `pasteMask`. */
  readonly mask: Float32Array;
}

/** The five terms of the loss; their sum is trained. */
export interface MaskRcnnLosses {
  readonly objectness: Tensor;
  readonly proposals: Tensor;
  readonly classes: Tensor;
  readonly boxes: Tensor;
  readonly masks: Tensor;
}

export interface MaskRcnnLossOptions {
  /** Of the samples of this step. */
  readonly key: RandomKey;
  /** Anchors that are sampled in each image. Default 256. */
  readonly anchorSamples?: number;
  /** Regions that are sampled in each image. Default 512. */
  readonly regionSamples?: number;
}

const RATIOS = [0.5, 1, 2];
/** Pixels between two places of the largest map, and the side of its anchors; both double from map to map. */
const [FIRST_STRIDE, FIRST_SIZE] = [4, 32];

/**
 * Mask R-CNN (He et al. 2017) without its backbone, as in detectron2: feature pyramid, region proposals, and the heads for boxes
 * and masks. The backbone's maps have strides of 4, 8, 16 ... pixels.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const model = new MaskRcnn({ inputs: [8, 8], classes: 2, channels: 8, hidden: 16 }, context);
 * const maps = [ones([1, 8, 8, 8]), ones([1, 8, 4, 4])];
 * const masks = [[[4, 4, 20, 4, 20, 24, 4, 24]]];
 * const image = { width: 32, height: 32, boxes: Float32Array.of(4, 4, 20, 24), classes: [1], masks };
 * model.losses(maps, [image], { key: [0, 'step', 0] }).masks.item();
 * model.detect(maps, [image])[0].length;
 */
export class MaskRcnn extends Module {
  readonly fpn: Fpn;
  readonly rpn: RpnHead;
  readonly box_head: BoxHead;
  readonly mask_head: MaskHead;

  constructor(sizes: MaskRcnnSizes, context: InitContext) {
    super();
    const { inputs, classes, channels = 256, hidden = 1024 } = sizes;
    this.fpn = new Fpn(inputs, channels, context);
    this.rpn = new RpnHead({ channels, ratios: RATIOS.length }, context);
    this.box_head = new BoxHead({ channels, hidden, classes }, context);
    this.mask_head = new MaskHead({ channels, classes }, context);
  }

  /**
   * The losses of a batch.
   * @param maps of the backbone, [B, inputs[i], H_i, W_i]
   * @param images B
   */
  losses(
    maps: readonly Tensor[],
    images: readonly ObjectsInImage[],
    { key, anchorSamples, regionSamples }: MaskRcnnLossOptions,
  ): MaskRcnnLosses {
    const { device } = maps[0];
    const { pyramid, outputs, anchors } = this.#lookAt(maps);
    const truths = images.map(({ boxes }) => boxesOn(boxes, device));
    const rpn = rpnLosses(joinOutputs(outputs), concat(anchors, 0), truths, {
      samples: anchorSamples,
      key: [...key, 'anchors'],
    });
    const proposals = proposeRegions(outputs, anchors, images, { perMap: 2000 });
    const sampled = images.map(({ boxes }, image) =>
      sampleRegions(proposals[image], boxes, {
        samples: regionSamples,
        key: [...key, 'regions', image],
        device,
      }),
    );
    const positive = positivesOf(images, sampled);
    const { classes, offsets } = this.#boxLosses(pyramid, sampled, positive);
    return {
      objectness: rpn.objectness,
      proposals: rpn.offsets,
      classes,
      boxes: offsets,
      masks: this.#maskLoss(pyramid, positive),
    };
  }

  /**
   * The objects that are found in the images of a batch, best first.
   * @param maps of the backbone, [B, inputs[i], H_i, W_i]
   * @param images their sides without padding
   */
  detect(maps: readonly Tensor[], images: readonly ImageSides[]): FoundObject[][] {
    return noGrad(() => {
      const { pyramid, outputs, anchors } = this.#lookAt(maps);
      const proposals = proposeRegions(outputs, anchors, images, { perMap: 1000 });
      return proposals.map((boxes, image) => {
        const output = this.box_head.forward(
          regionsOf(pyramid, { boxes, images: alike(boxes, image) }, BOX_SIZE),
        );
        const found = bestObjects(output, boxes, images[image]);
        const own = { boxes: joinedBoxes(found.map(({ box }) => box)), images: found.map(() => image) };
        const classes = found.map((each) => each.class);
        const logits = this.mask_head.forward(regionsOf(pyramid, own, MASK_REGION_SIZE));
        const masks = sigmoid(ownMasks(logits, classes)).toFloat32Array();
        const area = MASK_SIZE ** 2;
        return found.map((each, i) => ({ ...each, mask: masks.slice(i * area, (i + 1) * area) }));
      });
    });
  }

  #lookAt(maps: readonly Tensor[]) {
    const pyramid = this.fpn.forward(maps);
    const anchors = pyramid.map(({ shape, device }, map) => {
      const [, , height, width] = shape;
      const [stride, size] = [FIRST_STRIDE * 2 ** map, FIRST_SIZE * 2 ** map];
      return boxesOn(makeAnchors({ height, width, stride, size, ratios: RATIOS }), device);
    });
    return { pyramid, anchors, outputs: this.rpn.forward(pyramid) };
  }

  #boxLosses(pyramid: readonly Tensor[], sampled: readonly SampledRegions[], positive: Positives) {
    const regions = {
      boxes: joinedBoxes(sampled.map(({ boxes }) => boxes)),
      images: sampled.flatMap(({ boxes }, image) => alike(boxes, image)),
    };
    return boxLosses(this.box_head.forward(regionsOf(pyramid, regions, BOX_SIZE)), {
      rows: positive.rows,
      classes: positive.classes,
      boxes: boxesOn(positive.boxes, pyramid[0].device),
      truths: boxesOn(positive.truthBoxes, pyramid[0].device),
    });
  }

  #maskLoss(pyramid: readonly Tensor[], positive: Positives): Tensor {
    const logits = this.mask_head.forward(regionsOf(pyramid, positive, MASK_REGION_SIZE));
    return maskLoss(logits, positive.classes, positive.masks);
  }
}

/** Each region from the map of its size; the last map of the pyramid has only anchors. */
function regionsOf(pyramid: readonly Tensor[], regions: Regions, size: number): Tensor {
  const maps = pyramid.slice(0, -1).map((features, map) => ({ features, stride: FIRST_STRIDE * 2 ** map }));
  return pyramidRoiAlign(maps, regions, size, mapsOf(regions.boxes, maps.length));
}

/** [N, 4]. */
function boxesOn(boxes: Float32Array, device: string): Tensor {
  return upload(fromArray(boxes, [boxes.length / 4, 4]), device);
}

/** The image of each box. */
function alike(boxes: Float32Array, image: number): number[] {
  return new Array<number>(boxes.length / 4).fill(image);
}
