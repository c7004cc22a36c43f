import { InputError } from '../../base/errors.js';
import type { CocoAnnotation, CocoAnnotations } from '../../data/coco/annotations.js';
import type { CocoResult } from '../../data/coco/results.js';
import { type CocoKind, shapeReader } from './coco-iou.js';
import {
  type AreaName,
  type ClassInImage,
  IOU_THRESHOLDS,
  matchClass,
  RECALL_THRESHOLDS,
} from './coco-match.js';
import { type ClassCurve, classCurve } from './coco-precision.js';

/** COCO's figures: average precision (AP) and average recall (AR). */
export type CocoFigure =
  | ('AP' | 'AP50' | 'AP75' | 'APs' | 'APm' | 'APl')
  | ('AR1' | 'AR10' | 'AR100' | 'ARs' | 'ARm' | 'ARl');

/** Result of `cocoEvaluate`. */
export interface CocoEvaluation {
  /**
   * From 0 to 1; -1 if there are no objects that count. AP: mean over the classes and the IoU thresholds 0.5, 0.55, ... 0.95, of up to
   * 100 detections per image and class. AP50, AP75: at one threshold. s, m, l: only small objects (at most 32^2 pixels), medium ones (at
   * most 96^2) or large ones. AR1, AR10, AR100: recall of up to so many detections per image and class.
   */
  readonly figures: Readonly<Record<CocoFigure, number>>;
  /** AP of each category, by id; -1 if the category has no objects that count. */
  readonly categories: ReadonlyMap<number, number>;
}

/** Detections that count, per image and class. */
const MOST = [1, 10, 100] as const;

/** The curves of one class, by area and number of detections. */
type ClassCurves = Readonly<Record<AreaName, Readonly<Record<number, ClassCurve | undefined>>>>;

/**
 * COCO's evaluation of detections (Lin et al. 2014), equal to that of pycocotools. Objects that are crowds do not count, and
 * detections of them are ignored. The area of a detection is that of its box, or with `masks` the number of pixels of its mask.
 *
 * @param kind what is compared with the annotations
 * @throws InputError naming an annotation or result whose image or category is unknown, whose box or mask is missing, or whose score
 *   is not finite
 *
 * @example
 * const truths = readCocoAnnotations('coco/instances_val.json');
 * const [{ imageId, categoryId, box }] = truths.annotations;
 * const { figures } = cocoEvaluate(truths, [{ imageId, categoryId, box, score: 0.9 }], 'boxes');
 * console.log(figures.AP, figures.AP50);
 */
export function cocoEvaluate(
  truths: CocoAnnotations,
  results: readonly CocoResult[],
  kind: CocoKind,
): CocoEvaluation {
  const objects = grouped(truths, truths.annotations, ({ id }) => `annotation ${id}`);
  const detections = grouped(truths, results, (_, i) => `result ${i}`);
  const wrong = results.findIndex(({ score }) => !Number.isFinite(score));
  if (wrong >= 0) throw new InputError(`result ${wrong} has the score ${results[wrong].score}`);

  const classInImage = shapeReader(truths.images, kind);
  const images = truths.images.map(({ id }) => id).sort((a, b) => a - b);
  const curves = new Map<number, ClassCurves>();
  for (const category of truths.categories.map(({ id }) => id).sort((a, b) => a - b)) {
    const [found, real] = [detections(category), objects(category)];
    const pairs = images.flatMap((image) =>
      found(image).length + real(image).length === 0 ? [] : [classInImage(found(image), real(image))],
    );
    curves.set(category, curvesOf(pairs));
  }
  return {
    figures: figuresOf([...curves.values()]),
    categories: new Map([...curves].map(([id, each]) => [id, meanPrecision([each])])),
  };
}

function curvesOf(pairs: readonly ClassInImage[]): ClassCurves {
  const of = (area: AreaName, most: readonly number[]) => {
    const matches = pairs.map((pair) => matchClass(pair, area));
    return Object.fromEntries(most.map((each) => [each, classCurve(matches, each)]));
  };
  return {
    all: of('all', MOST),
    small: of('small', [100]),
    medium: of('medium', [100]),
    large: of('large', [100]),
  };
}

function figuresOf(classes: readonly ClassCurves[]): Record<CocoFigure, number> {
  return {
    AP: meanPrecision(classes),
    AP50: meanPrecision(classes, 'all', IOU_THRESHOLDS.slice(0, 1)),
    AP75: meanPrecision(classes, 'all', IOU_THRESHOLDS.slice(5, 6)),
    APs: meanPrecision(classes, 'small'),
    APm: meanPrecision(classes, 'medium'),
    APl: meanPrecision(classes, 'large'),
    AR1: meanRecall(classes, 'all', 1),
    AR10: meanRecall(classes, 'all', 10),
    AR100: meanRecall(classes, 'all', 100),
    ARs: meanRecall(classes, 'small', 100),
    ARm: meanRecall(classes, 'medium', 100),
    ARl: meanRecall(classes, 'large', 100),
  };
}

/** Mean over classes, IoU thresholds and recall thresholds. */
function meanPrecision(
  classes: readonly ClassCurves[],
  area: AreaName = 'all',
  thresholds: readonly number[] = IOU_THRESHOLDS,
): number {
  const width = RECALL_THRESHOLDS.length;
  const rows = thresholds.map((threshold) => IOU_THRESHOLDS.indexOf(threshold));
  return mean(
    classes.flatMap((each) => {
      const curve = each[area][100];
      return curve === undefined
        ? []
        : rows.map((t) => mean(curve.precision.subarray(t * width, (t + 1) * width)));
    }),
  );
}

/** Mean over classes and IoU thresholds. */
function meanRecall(classes: readonly ClassCurves[], area: AreaName, most: number): number {
  return mean(classes.flatMap((each) => [...(each[area][most]?.recall ?? [])]));
}

/** -1 if there is nothing to average, as in pycocotools. */
function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return values.length === 0 ? -1 : sum / values.length;
}

/**
 * Groups annotations or results by category and image, in their order.
 * @throws InputError naming one whose image or category is unknown
 */
function grouped<T extends CocoAnnotation | CocoResult>(
  { images, categories }: CocoAnnotations,
  all: readonly T[],
  nameOf: (each: T, index: number) => string,
): (category: number) => (image: number) => readonly T[] {
  const imageIds = new Set(images.map(({ id }) => id));
  const groups = new Map(categories.map(({ id }) => [id, new Map<number, T[]>()]));
  for (const [i, each] of all.entries()) {
    const { imageId, categoryId } = each;
    if (!imageIds.has(imageId)) throw new InputError(`${nameOf(each, i)}: there is no image ${imageId}`);
    const group = groups.get(categoryId);
    if (group === undefined) throw new InputError(`${nameOf(each, i)}: there is no category ${categoryId}`);
    const list = group.get(imageId);
    if (list === undefined) group.set(imageId, [each]);
    else list.push(each);
  }
  return (category) => (image) => groups.get(category)?.get(image) ?? [];
}
