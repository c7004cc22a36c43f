import { errorText, InputError } from '../../base/errors.js';
import type { CocoRle, CocoSegmentation, ImageSides } from '../objects.js';
import { type Fields, isInteger, isList, isNumbers, isObject } from './json-fields.js';
import { polygonsRle } from './polygon.js';
import type { Rle } from './rle.js';

export type { CocoRle, CocoSegmentation, ImageSides } from '../objects.js';

/**
 * The pixels of a mask in an image of this size.
 * @throws InputError if the text of compressed run lengths is damaged
 *
 * @example
 * segmentationRle({ size: [2, 2], counts: [2, 2] }, { width: 2, height: 2 }).counts; // 2, 2
 */
export function segmentationRle(segmentation: CocoSegmentation, { width, height }: ImageSides): Rle {
  if (!('counts' in segmentation)) return polygonsRle(segmentation, height, width);
  const { counts } = segmentation;
  return {
    height,
    width,
    counts: Uint32Array.from(typeof counts === 'string' ? expandCounts(counts) : counts),
  };
}

/**
 * The compressed form of a mask, for JSON files of COCO.
 *
 * @example
 * compressRle({ height: 2, width: 2, counts: Uint32Array.of(2, 2) }); // { size: [2, 2], counts: '22' }
 */
export function compressRle({ height, width, counts }: Rle): CocoRle {
  return { size: [height, width], counts: compressCounts(counts) };
}

/**
 * The mask of an object in a JSON file, or undefined if there is none.
 * @throws InputError naming the object and the key
 */
export function requireSegmentation(fields: Fields, image: ImageSides): CocoSegmentation | undefined {
  const value = fields.value('segmentation');
  if (value === undefined || value === null) return undefined;
  if (isList(value))
    return value.length === 0 ? undefined : value.map((each, i) => polygonOf(each, i, fields));
  if (isObject(value)) return rleOf(value, image, fields);
  throw fields.wrong('segmentation', 'is neither a list of polygons nor run lengths');
}

/** Limit for a coordinate, in pixels. The time that a polygon takes grows with its length. */
const FARTHEST = 2 ** 17;

function polygonOf(value: unknown, index: number, fields: Fields): readonly number[] {
  const key = `segmentation[${index}]`;
  if (!isNumbers(value)) throw fields.wrong(key, 'is not a list of finite numbers');
  if (value.length < 6 || value.length % 2 !== 0) {
    throw fields.wrong(
      key,
      `has ${value.length} numbers; a polygon has at least three points of two numbers each`,
    );
  }
  if (value.some((each) => Math.abs(each) > FARTHEST)) {
    throw fields.wrong(key, `has a coordinate beyond ${FARTHEST}`);
  }
  return value;
}

function rleOf(value: Record<string, unknown>, { width, height }: ImageSides, fields: Fields): CocoRle {
  const { size, counts } = value;
  if (!isNumbers(size) || size.length !== 2)
    throw fields.wrong('segmentation.size', 'is not [height, width]');
  if (size[0] !== height || size[1] !== width) {
    throw fields.wrong('segmentation.size', `is [${size}], but the image has [${height},${width}]`);
  }
  requireCounts(typeof counts === 'string' ? expanded(counts, fields) : counts, height * width, fields);
  return { size: [height, width], counts: counts as string | readonly number[] };
}

function expanded(text: string, fields: Fields): readonly number[] {
  try {
    return expandCounts(text);
  } catch (error) {
    throw fields.wrong('segmentation.counts', errorText(error));
  }
}

function requireCounts(counts: unknown, pixels: number, fields: Fields): void {
  const wrong = (what: string) => fields.wrong('segmentation.counts', what);
  if (!isNumbers(counts)) throw wrong('is neither a text nor a list of run lengths');
  const bad = counts.findIndex((count) => !isInteger(count) || count < 0);
  if (bad >= 0) throw wrong(`has the invalid run length ${counts[bad]}`);
  const sum = counts.reduce((total, count) => total + count, 0);
  if (sum !== pixels) throw wrong(`adds up to ${sum} pixels, but the image has ${pixels}`);
}

// COCO's text form of run lengths: from the fourth on, each is stored as its difference from the one two before. A number is groups
// of five bits, lowest first, each as the character 48 + group + (32 if more follow); the highest bit of the last one is the sign.

const FIRST = 48;
const MORE = 0x20;
const SIGN = 0x10;
/** Groups of the longest number: 32 bits and the sign. */
const MOST_GROUPS = 7;

/** The text form of run lengths. */
function compressCounts(counts: ArrayLike<number>): string {
  const codes: number[] = [];
  for (let i = 0; i < counts.length; i++) {
    let left = i > 2 ? counts[i] - counts[i - 2] : counts[i];
    for (let more = true; more; ) {
      const group = left & 0x1f;
      left = Math.floor(left / 32);
      more = group & SIGN ? left !== -1 : left !== 0;
      codes.push(FIRST + group + (more ? MORE : 0));
    }
  }
  return codes.map((code) => String.fromCharCode(code)).join('');
}

/** @throws InputError saying what is wrong with the text */
export function expandCounts(text: string): number[] {
  const counts: number[] = [];
  for (let at = 0; at < text.length; ) {
    let value = 0;
    for (let group = 0; ; group++, at++) {
      const code = text.charCodeAt(at) - FIRST;
      if (at >= text.length) throw new InputError('ends in the middle of a number');
      if (!(code >= 0 && code < 64)) throw new InputError(`has the invalid character ${quoted(text[at])}`);
      if (group === MOST_GROUPS) throw new InputError(`has too long a number at character ${at}`);
      value += (code & 0x1f) * 32 ** group;
      if (code & MORE) continue;
      if (code & SIGN) value -= 32 ** (group + 1);
      at++;
      break;
    }
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
  }
  return counts;
}

const quoted = (text: string) => JSON.stringify(text);
