import { existsSync } from 'node:fs';
import { confusionOf, hitsOf } from '../run/confusion.js';
import { type Metric, type Scored, scoreOf } from '../run/metric.js';
import { readMetrics } from '../run/metrics-log.js';
import type { PhaseResult } from '../run/records.js';
import { readJson, runFolder } from '../run/run-folder.js';

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
interface ScoreDifference {
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

// Keys in `summary.json` and `eval --json` that are derived from the name of a metric.

/** The field with the 95 % interval of a metric; empty if the interval is unknown. */
export function intervalField(
  { name }: Metric,
  interval: Interval | undefined,
): Readonly<Record<string, Interval>> {
  return interval === undefined ? {} : { [`${name}_interval`]: interval };
}

/** The 95 % interval of a metric, if it is known. */
export function intervalIn(outcome: Scored, { name }: Metric): Interval | undefined {
  return outcome[`${name}_interval`] as Interval | undefined;
}

/** The field with the difference of a metric between two models, in its unit. */
export function differenceField({ name }: Metric, difference: number): Readonly<Record<string, number>> {
  return { [`difference_${name}`]: difference };
}

/** The value of that field; 0 if it is missing. */
export function differenceIn(summary: Scored, { name }: Metric): number {
  return scoreOf(summary, { name: `difference_${name}` }) || 0;
}

/**
 * Counts of the last evaluation of each finished phase: per image if `confusion.json` belongs to the same result, otherwise only
 * the total. Phases with an unknown number of evaluation images are left out.
 * @throws InputError if one of the files is damaged
 */
export function scoredPhases(
  root: string,
  results: readonly PhaseResult[],
  primary: Metric,
): Map<string, ScoredImages> {
  if (!primary.isShareOfImages) return new Map();
  return new Map(
    results.flatMap((result) => {
      const scored = scoredImagesOf(root, result, primary);
      return scored === undefined ? [] : [[result.phase, scored] as const];
    }),
  );
}

function scoredImagesOf(root: string, result: PhaseResult, primary: Metric): ScoredImages | undefined {
  const folder = runFolder(root).phase(result.phase);
  const images = result.evaluation_images ?? evaluatedImages(folder.metrics, result.steps);
  if (images === undefined || images <= 0) return undefined;
  const right = Math.round((scoreOf(result, primary) / 100) * images);
  const confusion = existsSync(folder.confusion) ? confusionOf(readJson(folder.confusion)) : undefined;
  const hits = confusion?.step === result.steps ? hitsOf(confusion, images) : undefined;
  const isOfResult = hits?.reduce((sum, hit) => sum + hit, 0) === right;
  return { images, right, hits: isOfResult ? hits : undefined };
}

/** The number of images, from the records: results of older versions do not contain it. */
function evaluatedImages(metrics: string, step: number): number | undefined {
  const last = readMetrics(metrics).findLast((record) => record.kind === 'eval');
  return last?.step === step ? last.images : undefined;
}
