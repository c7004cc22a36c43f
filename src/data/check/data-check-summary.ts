import type { Dataset } from '../dataset.js';
import type { Reading } from './data-check-read.js';

/** Minimum, 5th percentile, median, 95th percentile and maximum of a list of numbers. */
export interface Spread {
  readonly min: number;
  readonly p5: number;
  readonly median: number;
  readonly p95: number;
  readonly max: number;
}

export interface PartSummary {
  readonly images: number;
  readonly unreadable: number;
  readonly classes: number;
  /** Number of images that the EXIF orientation turns or mirrors; `data.exif: apply` applies it. */
  readonly turned: number;
  /** Number of 16-bit grey images. Their values above 255 become white unless `data.grey16: scale` is set. */
  readonly grey16: number;
  /** Images per class, and the names of the classes with the fewest and the most images. */
  readonly balance: Spread & { readonly fewest: string; readonly most: string };
  /** Sizes, in pixels, of the images that can be read; null if none can be read. */
  readonly widths: Spread | null;
  readonly heights: Spread | null;
}

export function summaryOf(
  dataset: Dataset,
  { widths, heights, unreadable, turned, grey16 }: Reading,
): PartSummary {
  return {
    images: dataset.length,
    unreadable: unreadable.length,
    classes: dataset.classes.length,
    turned,
    grey16,
    balance: balanceOf(dataset),
    widths: spreadOf(widths.filter((width) => width > 0)),
    heights: spreadOf(heights.filter((height) => height > 0)),
  };
}

function balanceOf(dataset: Dataset): PartSummary['balance'] {
  const counts = imagesOfClasses(dataset);
  const spread = spreadOf(counts) ?? { min: 0, p5: 0, median: 0, p95: 0, max: 0 };
  const nameOf = (count: number) => dataset.classes[counts.indexOf(count)] ?? '';
  return { ...spread, fewest: nameOf(spread.min), most: nameOf(spread.max) };
}

/** Number of images of each class, by label. */
export function imagesOfClasses(dataset: Dataset): Uint32Array {
  const counts = new Uint32Array(dataset.classes.length);
  for (let i = 0; i < dataset.length; i++) counts[dataset.label(i)]++;
  return counts;
}

/** Null if there are no values. */
export function spreadOf(values: Uint32Array): Spread | null {
  if (values.length === 0) return null;
  const sorted = values.slice().sort();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
  return { min: at(0), p5: at(0.05), median: at(0.5), p95: at(0.95), max: at(1) };
}
