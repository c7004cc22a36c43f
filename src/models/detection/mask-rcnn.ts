import type { RandomKey } from '../../base/random.js';
import type { ImageSides, ObjectsInImage } from '../../data/objects.js';
import type { InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { noGrad } from '../../torch/autograd.js';
import { concat, to } from '../../torch/ops.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import { makeAnchors } from './anchors.js';
import { bestObjects, type FoundBox, type ObjectLimits } from './best-objects.js';
import { BOX_SIZE, BoxHead, type BoxOutput, boxLosses } from './box-head.js';
import { Fpn } from './fpn.js';
import { MASK_REGION_SIZE, MASK_SIZE, MaskHead, maskLoss, ownMasks } from './mask-head.js';
import { sigmoid } from './operators.js';
import { joinedBoxes, type Positives, positivesOf } from './positives.js';
import { type ProposalOptions, proposeRegions } from './proposals.js';
import { mapsOf, type SampledRegions, sampleRegions } from './regions.js';
import { pyramidRoiAlign, type Regions } from './roi-align.js';
import { joinOutputs, RpnHead, rpnLosses } from './rpn.js';

export interface MaskRcnnSizes {
  /** Channels of each map of the backbone, largest map first. */
  readonly inputs: readonly number[];
  readonly classes: number;
  /** Channels of the pyramid and of the heads. Default 256. */
  readonly channels?: number;
  /** Width of the box head. Default 1024. */
  readonly hidden?: number;
  /** Pixels between two places of the largest map; it doubles from map to map. Default 4. */
  readonly stride?: number;
  /** Side of the anchors of the largest map, in pixels; it doubles from map to map. Default 8 strides. */
  readonly anchorSize?: number;
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
  /** Proposals in training. Default: 2000 of each map, 1000 of each image. */
  readonly proposals?: Partial<ProposalOptions>;
}

/** Limits of a detection. */
export interface DetectOptions extends ObjectLimits {
  /** Default: 1000 of each map, 1000 of each image. */
  readonly proposals?: Partial<ProposalOptions>;
}

const RATIOS = [0.5, 1, 2];

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
  readonly #stride: number;
  readonly #anchorSize: number;

  constructor(sizes: MaskRcnnSizes, context: InitContext) {
    super();
    const { inputs, classes, channels = 256, hidden = 1024, stride = 4 } = sizes;
    this.#stride = stride;
    this.#anchorSize = sizes.anchorSize ?? 8 * stride;
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
    { key, anchorSamples, regionSamples, proposals: limits }: MaskRcnnLossOptions,
  ): MaskRcnnLosses {
    const { device } = maps[0];
    const { pyramid, outputs, anchors } = this.#lookAt(maps);
    const truths = images.map(({ boxes }) => boxesOn(boxes, device));
    const rpn = rpnLosses(joinOutputs(outputs), concat(anchors, 0), truths, {
      samples: anchorSamples,
      key: [...key, 'anchors'],
    });
    const proposals = proposeRegions(outputs, anchors, images, { perMap: 2000, ...limits });
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
  detect(
    maps: readonly Tensor[],
    images: readonly ImageSides[],
    { proposals: limits, ...objects }: DetectOptions = {},
  ): FoundObject[][] {
    return noGrad(() => {
      const { pyramid, outputs, anchors } = this.#lookAt(maps);
      const proposals = proposeRegions(outputs, anchors, images, { perMap: 1000, ...limits });
      return proposals.map((boxes, image) => {
        const output = this.#boxOutput(pyramid, { boxes, images: repeated(boxes, image) });
        const found = bestObjects(output, boxes, images[image], objects);
        const own = { boxes: joinedBoxes(found.map(({ box }) => box)), images: found.map(() => image) };
        const classes = found.map((each) => each.class);
        const logits = this.#maskLogits(pyramid, own);
        const masks = sigmoid(ownMasks(logits, classes)).toFloat32Array();
        const area = MASK_SIZE ** 2;
        return found.map((each, i) => ({ ...each, mask: masks.slice(i * area, (i + 1) * area) }));
      });
    });
  }

  #lookAt(maps: readonly Tensor[]) {
    const pyramid = this.fpn.forward(maps).map(widened);
    const anchors = pyramid.map(({ shape, device }, map) => {
      const [, , height, width] = shape;
      const [stride, size] = [this.#stride * 2 ** map, this.#anchorSize * 2 ** map];
      return boxesOn(makeAnchors({ height, width, stride, size, ratios: RATIOS }), device);
    });
    const outputs = this.rpn.forward(pyramid).map(({ objectness, offsets }) => ({
      objectness: widened(objectness),
      offsets: widened(offsets),
    }));
    return { pyramid, anchors, outputs };
  }

  #boxOutput(pyramid: readonly Tensor[], regions: Regions): BoxOutput {
    const { logits, offsets } = this.box_head.forward(this.#regionsOf(pyramid, regions, BOX_SIZE));
    return { logits: widened(logits), offsets: widened(offsets) };
  }

  #maskLogits(pyramid: readonly Tensor[], regions: Regions): Tensor {
    return widened(this.mask_head.forward(this.#regionsOf(pyramid, regions, MASK_REGION_SIZE)));
  }

  #boxLosses(pyramid: readonly Tensor[], sampled: readonly SampledRegions[], positive: Positives) {
    const regions = {
      boxes: joinedBoxes(sampled.map(({ boxes }) => boxes)),
      images: sampled.flatMap(({ boxes }, image) => repeated(boxes, image)),
    };
    return boxLosses(this.#boxOutput(pyramid, regions), {
      rows: positive.rows,
      classes: positive.classes,
      boxes: boxesOn(positive.boxes, pyramid[0].device),
      truths: boxesOn(positive.truthBoxes, pyramid[0].device),
    });
  }

  #maskLoss(pyramid: readonly Tensor[], positive: Positives): Tensor {
    return maskLoss(this.#maskLogits(pyramid, positive), positive.classes, positive.masks);
  }

  /** Each region from the map of its size; the last map of the pyramid has only anchors. */
  #regionsOf(pyramid: readonly Tensor[], regions: Regions, size: number): Tensor {
    const stride = this.#stride;
    const maps = pyramid.slice(0, -1).map((features, map) => ({ features, stride: stride * 2 ** map }));
    return pyramidRoiAlign(maps, regions, size, mapsOf(regions.boxes, maps.length, stride));
  }
}

/** In bfloat16, boxes and losses would be too coarse. */
function widened(x: Tensor): Tensor {
  return x.dtype === 'BF16' ? to(x, { dtype: 'F32' }) : x;
}

/** [N, 4]. */
function boxesOn(boxes: Float32Array, device: string): Tensor {
  return upload(fromArray(boxes, [boxes.length / 4, 4]), device);
}

/** The image of each box. */
function repeated(boxes: Float32Array, image: number): number[] {
  return new Array<number>(boxes.length / 4).fill(image);
}
