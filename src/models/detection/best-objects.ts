import type { ImageSides } from '../../data/coco/segmentation.js';
import { reshape, softmax } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray, upload } from '../../torch/tensor.js';
import { BOX_WEIGHTS, type BoxOutput } from './box-head.js';
import { clipBoxes, decodeBoxes } from './boxes.js';
import { nms } from './nms.js';

/** The box of an object that was found. */
export interface FoundBox {
  /** Left, top, right, bottom, in pixels. */
  readonly box: Float32Array;
  readonly class: number;
  readonly score: number;
}

/** Which of the found objects are returned. */
export interface ObjectLimits {
  /** Scores must be above this. Default 0.05. */
  readonly score?: number;
  /** A box is dropped if its IoU with a better one of its class is above this. Default 0.5. */
  readonly overlap?: number;
  /** Number of objects per image. Default 100. */
  readonly objects?: number;
}

/**
 * The objects of one image, best first: for each region and class with a score above the limit, the corrected box, without those that
 * are suppressed by a better one of their class.
 * @param regions N x 4, that the box head has read
 */
export function bestObjects(
  { logits, offsets }: BoxOutput,
  regions: Float32Array,
  image: ImageSides,
  { score: leastScore = 0.05, overlap = 0.5, objects = 100 }: ObjectLimits = {},
): FoundBox[] {
  const names = logits.shape[1] - 1;
  const { scores, boxes } = scope(() => {
    const from = upload(fromArray(regions, [regions.length / 4, 4]), logits.device);
    const moved = reshape(decodeBoxes(offsets, from, BOX_WEIGHTS), [-1, 4]);
    return {
      scores: softmax(logits, 1).toFloat32Array(),
      boxes: clipBoxes(moved, image).toFloat32Array(),
    };
  });
  const found: FoundBox[] = [];
  for (let region = 0; region < regions.length / 4; region++) {
    for (let name = 0; name < names; name++) {
      const score = scores[region * (names + 1) + name];
      const place = 4 * (region * names + name);
      if (score > leastScore) found.push({ box: boxes.slice(place, place + 4), class: name, score });
    }
  }
  const kept = nms(
    Float32Array.from(found.flatMap(({ box }) => [...box])),
    Float32Array.from(found, ({ score }) => score),
    overlap,
    found.map((each) => each.class),
  );
  return Array.from(kept.slice(0, objects), (i) => found[i]);
}
