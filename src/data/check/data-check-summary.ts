import { InputError } from '../../base/errors.js';
import { type Dataset, isClassified } from '../dataset.js';
import type { SplitChoice } from '../splits.js';
import { evalTransform } from '../transforms/transform.js';
import { DIGEST_BYTES, type Finding, type Reading } from './data-check-read.js';

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
  /** Images per class, and the names of the classes with the fewest and the most images; null if images have annotations instead. */
  readonly balance: (Spread & { readonly fewest: string; readonly most: string }) | null;
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
    balance: isClassified(dataset) ? balanceOf(dataset) : null,
    widths: spreadOf(widths.filter((width) => width > 0)),
    heights: spreadOf(heights.filter((height) => height > 0)),
  };
}

function balanceOf(dataset: Dataset): NonNullable<PartSummary['balance']> {
  const counts = imagesOfClasses(dataset);
  const spread = spreadOf(counts) ?? { min: 0, p5: 0, median: 0, p95: 0, max: 0 };
  const nameOf = (count: number) => dataset.classes[counts.indexOf(count)] ?? '';
  return { ...spread, fewest: nameOf(spread.min), most: nameOf(spread.max) };
}

/** Number of images of each class, by label. */
function imagesOfClasses(dataset: Dataset): Uint32Array {
  const counts = new Uint32Array(dataset.classes.length);
  for (let i = 0; i < dataset.length; i++) counts[dataset.label(i)]++;
  return counts;
}

/** Null if there are no values. */
function spreadOf(values: Uint32Array): Spread | null {
  if (values.length === 0) return null;
  const sorted = values.slice().sort();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
  return { min: at(0), p5: at(0.05), median: at(0.5), p95: at(0.95), max: at(1) };
}

export interface DataProblem {
  /**
   * - `damaged`: a part or a shard cannot be opened
   * - `missing_part`: there is no train or no val; a run needs both
   * - `refused`: a run would reject the data for another reason
   * - `unreadable`: an image is truncated, damaged, or not an image
   * - `wrong_extension`: the format of an image does not match its name
   * - `empty_class`: a class has no images
   * - `unknown_class`: a class of val is missing in train
   * - `duplicate`: images in one part have the same bytes; `leak`: images in train and val
   * - `extreme_shape`: an image is so long and narrow that evaluation at 224 px rejects it
   * - `tiny`: the shorter side of an image is below an eighth of the median
   */
  readonly kind:
    | 'damaged'
    | 'missing_part'
    | 'refused'
    | 'unreadable'
    | 'wrong_extension'
    | 'empty_class'
    | 'unknown_class'
    | 'duplicate'
    | 'leak'
    | 'extreme_shape'
    | 'tiny';
  /** Names of the affected images; may be empty. */
  readonly images: readonly string[];
  readonly detail: string;
}

/** A part of a data set, and the result of reading it. */
export interface CheckedPart {
  readonly name: SplitChoice;
  readonly dataset: Dataset;
  readonly reading: Reading;
}

/** All problems of data that could be opened. */
export function problemsOf(parts: readonly CheckedPart[]): DataProblem[] {
  return [
    ...parts.flatMap(({ dataset, reading }) => [
      ...imageProblems('unreadable', dataset, reading.unreadable),
      ...imageProblems('wrong_extension', dataset, reading.misnamed),
    ]),
    ...parts.flatMap(emptyClasses),
    ...unknownClasses(parts),
    ...duplicates(parts),
    ...parts.flatMap(extremeShapes),
    ...tinyImages(parts),
  ];
}

function imageProblems(
  kind: DataProblem['kind'],
  dataset: Dataset,
  found: readonly Finding[],
): DataProblem[] {
  return found.map(({ index, detail }) => ({ kind, images: [dataset.describe(index)], detail }));
}

function emptyClasses({ name, dataset }: CheckedPart): DataProblem[] {
  if (!isClassified(dataset)) return [];
  const counts = imagesOfClasses(dataset);
  return dataset.classes
    .filter((_, label) => counts[label] === 0)
    .map((each) => ({ kind: 'empty_class', images: [], detail: `class ${each} has no images in ${name}` }));
}

function unknownClasses(parts: readonly CheckedPart[]): DataProblem[] {
  const [train, val] = (['train', 'val'] as const).map((name) => parts.find((part) => part.name === name));
  if (train === undefined || val === undefined) return [];
  const known = new Set(train.dataset.classes);
  return val.dataset.classes
    .filter((each) => !known.has(each))
    .map((each) => ({
      kind: 'unknown_class',
      images: [],
      detail: `class ${each} is in val but not in train`,
    }));
}

/** The place of an image. */
interface Place {
  readonly part: CheckedPart;
  readonly index: number;
}

/** One problem for each set of images with the same bytes. */
function duplicates(parts: readonly CheckedPart[]): DataProblem[] {
  const digests = Buffer.concat(parts.map(({ reading }) => reading.digests));
  const digestAt = (i: number) => digests.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES);
  // The first bytes as numbers. Sorting a million images by comparing only buffers would take minutes.
  const keys = Float64Array.from({ length: digests.length / DIGEST_BYTES }, (_, i) =>
    digests.readUIntBE(i * DIGEST_BYTES, 6),
  );
  const isSame = (a: number, b: number) => keys[a] === keys[b] && digestAt(a).equals(digestAt(b));
  const placeOf = placesIn(parts);
  const order = Uint32Array.from(keys.keys()).sort(
    (a, b) => keys[a] - keys[b] || Buffer.compare(digestAt(a), digestAt(b)) || a - b,
  );

  const sets: number[][] = [];
  for (let from = 0, to = 1; from < order.length; from = to++) {
    while (to < order.length && isSame(order[from], order[to])) to++;
    if (to - from > 1 && isReadable(placeOf(order[from]))) sets.push([...order.subarray(from, to)]);
  }
  return sets.sort((a, b) => a[0] - b[0]).map((set) => duplicateProblem(set.map(placeOf)));
}

function duplicateProblem(places: readonly Place[]): DataProblem {
  const parts = new Set(places.map(({ part }) => part));
  const classes = new Set(
    places.map(({ part: { dataset }, index }) => dataset.classes[dataset.label(index)]),
  );
  const inBoth = parts.size > 1 ? `, in ${Array.from(parts, ({ name }) => name).join(' and in ')}` : '';
  const differently = classes.size > 1 ? `, of classes ${[...classes].join(' and ')}` : '';
  return {
    kind: parts.size > 1 ? 'leak' : 'duplicate',
    images: places.map(({ part: { dataset }, index }) => dataset.describe(index)),
    detail: `${places.length} images with the same bytes${inBoth}${differently}`,
  };
}

/** Finds the place of image `i`, counted over all parts. */
function placesIn(parts: readonly CheckedPart[]): (i: number) => Place {
  return (i) => {
    let index = i;
    let at = 0;
    while (index >= parts[at].dataset.length) index -= parts[at++].dataset.length;
    return { part: parts[at], index };
  };
}

function isReadable({ part, index }: Place): boolean {
  return part.reading.widths[index] > 0;
}

const COMMON_SIZE = 224;

function extremeShapes({ dataset, reading: { widths, heights } }: CheckedPart): DataProblem[] {
  const transform = evalTransform(COMMON_SIZE);
  return Array.from(widths.keys()).flatMap((i): DataProblem[] => {
    if (widths[i] === 0) return [];
    try {
      transform({ width: widths[i], height: heights[i], channels: 3 });
      return [];
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      return [{ kind: 'extreme_shape', images: [dataset.describe(i)], detail: error.message }];
    }
  });
}

const TINY_SHARE = 1 / 8;

function tinyImages(parts: readonly CheckedPart[]): DataProblem[] {
  const sides = parts.map(({ reading: { widths, heights } }) =>
    widths.map((width, i) => Math.min(width, heights[i])),
  );
  const known = parts.flatMap((_, at) => Array.from(sides[at].filter((side) => side > 0)));
  const least = TINY_SHARE * (spreadOf(Uint32Array.from(known))?.median ?? 0);
  return parts.flatMap(({ dataset, reading: { widths, heights } }, at) =>
    Array.from(widths.keys())
      .filter((i) => sides[at][i] > 0 && sides[at][i] < least)
      .map((i): DataProblem => {
        const detail = `${widths[i]} x ${heights[i]} pixels`;
        return { kind: 'tiny', images: [dataset.describe(i)], detail };
      }),
  );
}
