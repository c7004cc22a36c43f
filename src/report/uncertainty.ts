/** What one model's evaluation counted. */
export interface Judged {
  readonly images: number;
  /** Images whose first guess was right. */
  readonly right: number;
  /** One entry per image, in the order of the data set: 1 for right, 0 for wrong; absent if only the sum is known. */
  readonly hits?: Uint8Array | undefined;
}

/** A range in per cent, or in percentage points. */
export type Interval = readonly [low: number, high: number];

/** The difference between two accuracies, in percentage points, with its 95 % interval. */
export interface Difference {
  readonly points: number;
  readonly interval: Interval;
  /** Whether both were compared image by image. */
  readonly isPaired: boolean;
}

/** The 97.5 % point of the standard normal distribution: 95 % lie within it on both sides. */
const Z = 1.959963984540054;

/**
 * The 95 % interval of one accuracy, in per cent: Wilson's score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209).
 * It covers what other images of the same kind would change, not what another seed would.
 */
export function accuracyInterval({ images, right }: Judged): Interval {
  const share = right / images;
  const scale = 1 + Z ** 2 / images;
  const centre = (share + Z ** 2 / (2 * images)) / scale;
  const half = (Z * Math.sqrt((share * (1 - share)) / images + Z ** 2 / (4 * images ** 2))) / scale;
  return [100 * Math.max(0, centre - half), 100 * Math.min(1, centre + half)];
}

/**
 * The accuracy of `a` less that of `b`, with its 95 % interval. Two evaluations of the same images are compared image by image:
 * with B images that only `a` has right and C that only `b` has right, the adjusted Wald interval for matched pairs, which adds
 * half an image to each of the four counts (Agresti and Min 2005, Statistics in Medicine 24, 729). If only the sums are known, the
 * two are taken as independent samples, each with one right and one wrong image added (Agresti and Caffo 2000, The American
 * Statistician 54, 280); for models that make the same mistakes that interval is too wide.
 */
export function accuracyDifference(a: Judged, b: Judged): Difference {
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

/** Whether the two may be equally good: 0 lies in the interval. */
export function isLevel({ interval: [low, high] }: Difference): boolean {
  return low <= 0 && high >= 0;
}

/** In per cent, within -100 and 100. */
function around(difference: number, variance: number): Interval {
  const half = Z * Math.sqrt(variance);
  return [100 * Math.max(-1, difference - half), 100 * Math.min(1, difference + half)];
}
