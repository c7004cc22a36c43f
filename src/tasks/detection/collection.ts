import type { CocoAnnotation, CocoAnnotations, CocoBox, CocoImage } from '../../data/coco/annotations.js';
import type { CocoResult } from '../../data/coco/results.js';
import { compressRle } from '../../data/coco/segmentation.js';
import type { AnnotatedImage, CocoRle } from '../../data/objects.js';
import type { DetectorTarget } from '../../models/detection/detector-config.js';
import { pasteMask } from '../../models/detection/mask-paste.js';
import type { FoundObject } from '../../models/detection/mask-rcnn.js';
import type { Tensor } from '../../torch/tensor.js';
import type { ClassPrecision, Collection } from '../../training/task.js';
import { type CocoEvaluation, cocoEvaluate } from './coco-evaluate.js';
import type { CocoKind } from './coco-iou.js';
import { METRIC_OF } from './metrics.js';

/** What is found in the images of a batch. */
export interface DetectionResult extends DetectorTarget {
  /** The images at their own size, with the objects that an evaluation compares with. */
  readonly annotated: readonly AnnotatedImage[];
  /** The found objects of each image, in pixels of `annotated`. */
  found(): readonly (readonly FoundObject[])[];
}

/** What is found in the images of an evaluation. Categories are the labels of the classes. */
export interface DetectionCollection extends Collection<DetectionResult> {
  readonly truths: CocoAnnotations;
  readonly results: readonly CocoResult[];
  /** COCO's figures for boxes or masks. */
  evaluation(kind: CocoKind): CocoEvaluation;
  classPrecisions(): readonly ClassPrecision[];
}

/** @param classes number of classes */
export function detectionCollection(classes: number): DetectionCollection {
  const images: CocoImage[] = [];
  const annotations: CocoAnnotation[] = [];
  const results: CocoResult[] = [];
  const categories = Array.from({ length: classes }, (_, id) => ({ id, name: String(id) }));
  const truths = { images, annotations, categories };
  let evaluated: Partial<Record<CocoKind, CocoEvaluation>> = {};
  const evaluation = (kind: CocoKind) => {
    const found = evaluated[kind] ?? cocoEvaluate(truths, results, kind);
    evaluated = { ...evaluated, [kind]: found };
    return found;
  };
  return {
    truths,
    results,
    evaluation,
    add(_: Tensor, { annotated, found }) {
      evaluated = {};
      for (const [i, image] of annotated.entries()) {
        const { id, width, height } = image;
        images.push({ id, width, height, fileName: '' });
        annotations.push(...truthsOf(image));
        results.push(...found()[i].map((object) => resultOf(object, image)));
      }
    },
    summarize() {
      return Object.fromEntries(
        (['boxes', 'masks'] as const).flatMap((kind) => {
          const { figures } = evaluation(kind);
          return Object.entries(METRIC_OF[kind]).map(([figure, { name }]) => [
            name,
            percent(figures[figure as keyof typeof figures]),
          ]);
        }),
      );
    },
    classPrecisions() {
      const [boxes, masks] = [evaluation('boxes').categories, evaluation('masks').categories];
      return categories.map(({ id }) => ({
        class: id,
        ap: percent(boxes.get(id) ?? -1),
        maskAp: percent(masks.get(id) ?? -1),
        objects: annotations.filter(({ categoryId, isCrowd }) => categoryId === id && !isCrowd).length,
      }));
    },
  };
}

/** NaN if there are no objects that count. */
export function percent(figure: number): number {
  return figure < 0 ? Number.NaN : 100 * figure;
}

function truthsOf({ id: imageId, objects }: AnnotatedImage): CocoAnnotation[] {
  return objects.map(({ id, label: categoryId, box, area, isCrowd, segmentation }) => ({
    id,
    imageId,
    categoryId,
    box,
    area,
    isCrowd,
    segmentation,
  }));
}

/** A found object, in pixels of its image. */
export interface PixelObject {
  readonly imageId: number;
  readonly categoryId: number;
  readonly score: number;
  readonly box: CocoBox;
  readonly segmentation: CocoRle;
}

export function resultOf(
  { box, class: categoryId, score, mask }: FoundObject,
  image: AnnotatedImage,
): PixelObject {
  const [left, top, right, bottom] = box;
  return {
    imageId: image.id,
    categoryId,
    score,
    box: [left, top, right - left, bottom - top],
    segmentation: compressRle(pasteMask(mask, box, image)),
  };
}
