import type { Dataset } from '../dataset.js';
import type { Reading } from './data-check-read.js';

/** Of some numbers: the least, the largest, and those below which a twentieth, half, and all but a twentieth lie. */
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
  /** Images that EXIF's orientation turns or mirrors: `data.exif: apply` does so. */
  readonly turned: number;
  /** Images of 16-bit grey, of which all above 255 is white: `data.grey16: scale` keeps it. */
  readonly grey16: number;
  /** Images of a class, and the names of the classes with the fewest and the most. */
  readonly balance: Spread & { readonly fewest: string; readonly most: string };
  /** Pixels of the images that can be read; null where none can. */
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

/** By label. */
export function imagesOfClasses(dataset: Dataset): Uint32Array {
  const counts = new Uint32Array(dataset.classes.length);
  for (let i = 0; i < dataset.length; i++) counts[dataset.label(i)]++;
  return counts;
}

/** Null of nothing. */
export function spreadOf(values: Uint32Array): Spread | null {
  if (values.length === 0) return null;
  const sorted = values.slice().sort();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
  return { min: at(0), p5: at(0.05), median: at(0.5), p95: at(0.95), max: at(1) };
}
