import { InputError } from '../../base/errors.js';
import type { CocoAnnotation, CocoBox, CocoImage } from '../../data/coco/annotations.js';
import type { CocoResult } from '../../data/coco/results.js';
import { type Rle, rleArea, rleBox, rleIou } from '../../data/coco/rle.js';
import { segmentationRle } from '../../data/coco/segmentation.js';
import type { ClassInImage } from './coco-match.js';

/** What detections and annotations are compared by. */
export type CocoKind = 'boxes' | 'masks';

/** Detections that are compared, per image and class. */
const MOST_DETECTIONS = 100;

/** Something with an area that overlaps others of its kind. */
interface Region {
  readonly area: number;
  iou(truth: Region, isCrowd: boolean): number;
}

/** Returns a function that prepares the detections and the objects of one class in one image for matching. */
export function shapeReader(images: readonly CocoImage[], kind: CocoKind) {
  const imageById = new Map(images.map((image) => [image.id, image]));
  const regionOf = (each: CocoAnnotation | CocoResult): Region => {
    if (kind === 'boxes') return new BoxRegion(required(each, 'box'));
    const image = imageById.get(each.imageId) as CocoImage;
    return new MaskRegion(segmentationRle(required(each, 'segmentation'), image));
  };
  return (results: readonly CocoResult[], truths: readonly CocoAnnotation[]): ClassInImage => {
    const best = [...results].sort((a, b) => b.score - a.score).slice(0, MOST_DETECTIONS);
    const [found, real] = [best.map(regionOf), truths.map(regionOf)];
    return {
      scores: best.map(({ score }) => score),
      areas: found.map(({ area }) => area),
      truths,
      ious: found.flatMap((each) => real.map((truth, i) => each.iou(truth, truths[i].isCrowd))),
    };
  };
}

function required<Key extends 'box' | 'segmentation'>(
  each: CocoAnnotation | CocoResult,
  key: Key,
): NonNullable<CocoResult[Key]> {
  const value = each[key];
  if (value !== undefined) return value as NonNullable<CocoResult[Key]>;
  const what =
    'score' in each
      ? `a result of image ${each.imageId} and category ${each.categoryId}`
      : `annotation ${each.id}`;
  throw new InputError(`${what} has no ${key}`, {
    hint: 'evaluate the other of boxes and masks, or add what is missing',
  });
}

class BoxRegion implements Region {
  readonly area: number;
  readonly #box: CocoBox;

  constructor(box: CocoBox) {
    this.#box = box;
    this.area = box[2] * box[3];
  }

  iou(truth: BoxRegion, isCrowd: boolean): number {
    const overlap = boxOverlap(this.#box, truth.#box);
    return overlap === 0 ? 0 : overlap / (isCrowd ? this.area : this.area + truth.area - overlap);
  }
}

class MaskRegion implements Region {
  readonly area: number;
  readonly #rle: Rle;
  readonly #box: CocoBox;

  constructor(rle: Rle) {
    this.#rle = rle;
    this.#box = rleBox(rle);
    this.area = rleArea(rle);
  }

  iou(truth: MaskRegion, isCrowd: boolean): number {
    return boxOverlap(this.#box, truth.#box) === 0 ? 0 : rleIou(this.#rle, truth.#rle, isCrowd);
  }
}

/** Area of the intersection. */
function boxOverlap([ax, ay, aw, ah]: CocoBox, [bx, by, bw, bh]: CocoBox): number {
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  return width <= 0 || height <= 0 ? 0 : width * height;
}
