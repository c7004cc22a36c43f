import { IOU_THRESHOLDS, type Matches, RECALL_THRESHOLDS } from './coco-match.js';

/** How well the objects of one class are found in all images. */
export interface ClassCurve {
  /** IoU thresholds x recall thresholds. */
  readonly precision: Float64Array;
  /** The highest recall, at each IoU threshold. */
  readonly recall: Float64Array;
}

/**
 * The curve of one class (`accumulate` of pycocotools), or undefined if it has no objects that count.
 * @param images in the order of their ids
 * @param most number of detections that count in each image
 */
export function classCurve(images: readonly Matches[], most: number): ClassCurve | undefined {
  const truths = images.reduce((sum, each) => sum + each.truths, 0);
  if (truths === 0) return undefined;
  const { matched, ignored } = byScore(images, most);
  const curve = {
    precision: new Float64Array(IOU_THRESHOLDS.length * RECALL_THRESHOLDS.length),
    recall: new Float64Array(IOU_THRESHOLDS.length),
  };
  for (let t = 0; t < IOU_THRESHOLDS.length; t++) {
    const bit = 1 << t;
    const precision = new Float64Array(matched.length);
    const recall = new Float64Array(matched.length);
    let [right, wrong] = [0, 0];
    for (let i = 0; i < matched.length; i++) {
      if (!(ignored[i] & bit)) {
        if (matched[i] & bit) right++;
        else wrong++;
      }
      recall[i] = right / truths;
      precision[i] = right / (wrong + right + Number.EPSILON);
    }
    for (let i = matched.length - 1; i > 0; i--) precision[i - 1] = Math.max(precision[i - 1], precision[i]);
    let i = 0;
    for (const [r, threshold] of RECALL_THRESHOLDS.entries()) {
      while (i < recall.length && recall[i] < threshold) i++;
      if (i < recall.length) curve.precision[t * RECALL_THRESHOLDS.length + r] = precision[i];
    }
    curve.recall[t] = recall.at(-1) ?? 0;
  }
  return curve;
}

/** The detections of all images, highest score first; of equal scores, in the order of the images. */
function byScore(
  images: readonly Matches[],
  most: number,
): { readonly matched: Uint16Array; readonly ignored: Uint16Array } {
  const count = images.reduce((sum, { scores }) => sum + Math.min(scores.length, most), 0);
  const scores = new Float64Array(count);
  const bits = { matched: new Uint16Array(count), ignored: new Uint16Array(count) };
  let next = 0;
  for (const image of images) {
    for (let i = 0; i < image.scores.length && i < most; i++, next++) {
      scores[next] = image.scores[i];
      bits.matched[next] = image.matched[i];
      bits.ignored[next] = image.ignored[i];
    }
  }
  const order = Uint32Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]);
  const sorted = (values: Uint16Array) => Uint16Array.from(order, (i) => values[i]);
  return { matched: sorted(bits.matched), ignored: sorted(bits.ignored) };
}
