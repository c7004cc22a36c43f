/** Counts of one model's evaluation. */
export interface ScoredImages {
  readonly images: number;
  /** Images with a correct first prediction. */
  readonly right: number;
  /** One entry per image, in the order of the data set: 1 for correct, 0 for wrong; absent if only the total is known. */
  readonly hits?: Uint8Array | undefined;
}

/** A range in per cent, or in percentage points. */
export type Interval = readonly [low: number, high: number];

/** The difference between two accuracies, in percentage points, with its 95 % interval. */
export interface ScoreDifference {
  readonly points: number;
  readonly interval: Interval;
  /** Whether both were compared image by image. */
  readonly isPaired: boolean;
}

/** The 97.5 % quantile of the standard normal distribution: 95 % are within ± Z. */
const Z = 1.959963984540054;

/**
 * The 95 % interval of one accuracy, in per cent: Wilson's score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209). It covers
 * the variation between samples of images of the same kind, not between seeds.
 */
export function accuracyInterval({ images, right }: ScoredImages): Interval {
  const share = right / images;
  const scale = 1 + Z ** 2 / images;
  const centre = (share + Z ** 2 / (2 * images)) / scale;
  const half = (Z * Math.sqrt((share * (1 - share)) / images + Z ** 2 / (4 * images ** 2))) / scale;
  return [100 * Math.max(0, centre - half), 100 * Math.min(1, centre + half)];
}

/**
 * The accuracy of `a` minus that of `b`, with its 95 % interval. Two evaluations of the same images are compared image by image:
 * with B images that only `a` has right and C that only `b` has right, this is the adjusted Wald interval for matched pairs,
 * which adds half an image to each of the four counts (Agresti and Min 2005, Statistics in Medicine 24, 729). If only the totals
 * are known, the two are treated as independent samples, each with one right and one wrong image added (Agresti and Caffo 2000,
 * The American Statistician 54, 280); for models that make the same mistakes, that interval is too wide.
 */
export function accuracyDifference(a: ScoredImages, b: ScoredImages): ScoreDifference {
  const points = 100 * (a.right / a.images - b.right / b.images);
  if (a.hits === undefined || b.hits === undefined || a.hits.length !== b.hits.length) {
    const [p, q] = [a, b].map(({ right, images }) => (right + 1) / (images + 2));
    const variance = (p * (1 - p)) / (a.images + 2) + (q * (1 - q)) / (b.images + 2);
    return { points, interval: around(p - q, variance), isPaired: false };
  }
  let [onlyA, onlyB] = [0, 0];
  for (const [image, hit] of a.hits.entries()) {
    if (hit > b.hits[image]) onlyA++;
    else if (hit < b.hits[image]) onlyB++;
  }
  const images = a.hits.length + 2;
  const difference = (onlyA - onlyB) / images;
  const variance = ((onlyA + onlyB + 1) / images - difference ** 2) / images;
  return { points, interval: around(difference, variance), isPaired: true };
}

/** Whether the two may be equally good: the interval contains 0. */
export function isLevel({ interval: [low, high] }: ScoreDifference): boolean {
  return low <= 0 && high >= 0;
}

/** The interval around a difference, in per cent, limited to -100 and 100. */
function around(difference: number, variance: number): Interval {
  const half = Z * Math.sqrt(variance);
  return [100 * Math.max(-1, difference - half), 100 * Math.min(1, difference + half)];
}
