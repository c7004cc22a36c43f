/** The detections and the objects of one class in one image. */
export interface ClassInImage {
  /** Of the detections, highest first. */
  readonly scores: ArrayLike<number>;
  /** Of the detections, in pixels. */
  readonly areas: ArrayLike<number>;
  readonly truths: readonly { readonly area: number; readonly isCrowd: boolean }[];
  /** Detections x truths. */
  readonly ious: ArrayLike<number>;
}

/** What the detections of one class in one image are worth, highest score first. Bit t of a number is for IoU threshold t. */
export interface Matches {
  readonly scores: ArrayLike<number>;
  /** Where the detection is matched to an object. */
  readonly matched: Uint16Array;
  /** Where the detection counts neither as right nor as wrong. */
  readonly ignored: Uint16Array;
  /** Number of objects that count. */
  readonly truths: number;
}

/** `count` numbers from `first` to `last`, with numpy's rounding. */
function evenly(first: number, last: number, count: number): readonly number[] {
  const step = (last - first) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? last : i * step + first));
}

export const IOU_THRESHOLDS = evenly(0.5, 0.95, 10);
export const RECALL_THRESHOLDS = evenly(0, 1, 101);

/** Least and largest area of the objects that count, both included, in pixels. */
export const AREA_RANGES = {
  all: [0, 1e10],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, 1e10],
} as const;
export type AreaName = keyof typeof AREA_RANGES;

/** Matches detections to objects at every IoU threshold (`evaluateImg` of pycocotools). */
export function matchClass(pair: ClassInImage, area: AreaName): Matches {
  const { scores, areas, truths } = pair;
  const [least, largest] = AREA_RANGES[area];
  const isOutside = (size: number) => size < least || size > largest;
  const isIgnored = truths.map((truth) => truth.isCrowd || isOutside(truth.area));
  const places = truths.map((_, i) => i);
  const order = [...places.filter((i) => !isIgnored[i]), ...places.filter((i) => isIgnored[i])];
  const matched = new Uint16Array(scores.length);
  const ignored = new Uint16Array(scores.length);
  for (const [t, threshold] of IOU_THRESHOLDS.entries()) {
    const taken = new Uint8Array(truths.length);
    for (let detection = 0; detection < scores.length; detection++) {
      const found = bestTruth(pair, detection, { order, isIgnored, taken, threshold });
      if (found !== undefined) {
        taken[found] = 1;
        matched[detection] |= 1 << t;
      }
      if (found === undefined ? isOutside(areas[detection]) : isIgnored[found]) ignored[detection] |= 1 << t;
    }
  }
  return { scores, matched, ignored, truths: isIgnored.filter((each) => !each).length };
}

/** The truth with the highest IoU that a detection may take; of equal ones, the last. Ignored ones only if there is no other. */
function bestTruth(
  { truths, ious }: ClassInImage,
  detection: number,
  state: {
    /** The truths that count, then the ignored ones. */
    readonly order: readonly number[];
    readonly isIgnored: readonly boolean[];
    readonly taken: Uint8Array;
    readonly threshold: number;
  },
): number | undefined {
  const { order, isIgnored, taken, threshold } = state;
  let best: number | undefined;
  let highest = Math.min(threshold, 1 - 1e-10);
  for (const truth of order) {
    if (taken[truth] && !truths[truth].isCrowd) continue;
    if (best !== undefined && !isIgnored[best] && isIgnored[truth]) break;
    const iou = ious[detection * truths.length + truth];
    if (iou < highest) continue;
    highest = iou;
    best = truth;
  }
  return best;
}
