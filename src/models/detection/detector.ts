import { RunError } from '../../base/errors.js';
import type { ObjectsInImage } from '../../data/objects.js';
import type { InitContext } from '../../nn/init.js';
import { add, concat, reshape, slice, zeros } from '../../torch/ops.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { tapMaps } from '../dense/taps.js';
import { Layer, type Pass } from '../staged.js';
import { type DetectorConfig, type DetectorTarget, finestStride } from './detector-config.js';
import { MASK_SIZE } from './mask-head.js';
import { type FoundObject, MaskRcnn, type MaskRcnnLosses } from './mask-rcnn.js';
import { VitPyramid } from './tap-pyramid.js';

/** What the detector needs to know of its backbone. */
export interface DetectorPlan {
  readonly detector: DetectorConfig;
  /** Channels of the taps. */
  readonly width: number;
  readonly classes: number;
  readonly patchSize: number;
}

/** The terms of the loss, in the order of the detector's output. */
const TERMS: readonly (keyof MaskRcnnLosses)[] = ['objectness', 'proposals', 'classes', 'boxes', 'masks'];

/** Image, class, score, left, top, right, bottom, then the mask. */
const ROW = 7 + MASK_SIZE ** 2;

/**
 * Mask R-CNN on the taps of a backbone: tokens [B, 4 N, D] of four taps -> in training the five terms of the loss, [5]. In evaluation,
 * the terms and the found objects as one tensor, see `unpackedObjects`. The pass needs a `DetectorTarget`.
 */
export class Detector extends Layer {
  readonly pyramid: VitPyramid;
  readonly detector: MaskRcnn;
  readonly #plan: DetectorPlan;

  constructor(plan: DetectorPlan, context: InitContext) {
    super();
    const { width, classes, patchSize, detector } = plan;
    const { channels, hidden, anchorSize } = detector;
    const stride = finestStride(patchSize);
    const inputs = [width, width, width, width];
    this.pyramid = new VitPyramid(width, context);
    this.detector = new MaskRcnn({ inputs, classes, channels, hidden, stride, anchorSize }, context);
    this.#plan = plan;
  }

  forward(state: Tensor, pass: Pass): Tensor {
    const { images, samples, proposals, limits } = targetOf(pass);
    const maps = this.pyramid.forward(tapMaps(state, { patchSize: this.#plan.patchSize, size: pass.size }));
    const options = {
      key: [...pass.key, 'detector'],
      anchorSamples: samples.anchors,
      regionSamples: samples.regions,
      proposals: proposals.train,
    };
    const losses = hasObjects(images) ? inOrder(this.detector.losses(maps, images, options)) : undefined;
    if (pass.training) {
      if (losses === undefined) throw new RunError('a training batch without objects in its images');
      return losses;
    }
    const found = this.detector.detect(maps, images, { ...limits, proposals: proposals.eval });
    return packed(losses ?? zeros([TERMS.length], 'F32', state.device), found);
  }
}

function targetOf({ target }: Pass): DetectorTarget {
  if (Object(target).images !== undefined) return target as DetectorTarget;
  throw new RunError('a detector needs the sizes of the images', {
    hint: 'pass a DetectorTarget as `target` of the pass',
  });
}

function hasObjects(images: DetectorTarget['images']): images is readonly ObjectsInImage[] {
  return images.every((image) => 'boxes' in image);
}

function inOrder(losses: MaskRcnnLosses): Tensor {
  return concat(
    TERMS.map((name) => reshape(losses[name], [1])),
    0,
  );
}

/** The loss that is trained: the sum of the terms that `Detector` returns. */
export function totalLoss(terms: Tensor): Tensor {
  const each = TERMS.map((_, i) => slice(terms, 0, i, i + 1));
  return reshape(each.reduce(add), []);
}

function packed(terms: Tensor, found: readonly (readonly FoundObject[])[]): Tensor {
  const rows = found.flatMap((objects, image) => objects.map((each) => ({ image, ...each })));
  const numbers = new Float32Array(rows.length * ROW);
  for (const [i, { image, class: name, score, box, mask }] of rows.entries()) {
    numbers.set([image, name, score, ...box], i * ROW);
    numbers.set(mask, i * ROW + 7);
  }
  return concat([terms, fromArray(numbers, [numbers.length], terms.device)], 0);
}

/** The found objects of each of `count` images, from what `Detector` returns in evaluation; `totalLoss` takes its terms. */
export function unpackedObjects(output: Tensor, count: number): FoundObject[][] {
  const all = output.toFloat32Array();
  const found = Array.from({ length: count }, (): FoundObject[] => []);
  for (let at = TERMS.length; at < all.length; at += ROW) {
    const [image, name, score] = all.subarray(at, at + 3);
    const [box, mask] = [all.slice(at + 3, at + 7), all.slice(at + 7, at + ROW)];
    found[image].push({ class: name, score, box, mask });
  }
  return found;
}
