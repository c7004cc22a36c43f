import { errorText, InputError } from '../../base/errors.js';
import { readSmallText } from '../../files/small-file.js';
import { type Fields, fieldsOf, uniqueId } from './json-fields.js';
import { type CocoSegmentation, requireSegmentation } from './segmentation.js';

export interface CocoImage {
  readonly id: number;
  readonly width: number;
  readonly height: number;
  readonly fileName: string;
}

export interface CocoCategory {
  readonly id: number;
  readonly name: string;
}

/** An object in an image. */
export interface CocoAnnotation {
  readonly id: number;
  readonly imageId: number;
  readonly categoryId: number;
  /** [x, y, width, height] in pixels. */
  readonly box: CocoBox;
  /** In pixels; decides whether the object is small, medium or large. */
  readonly area: number;
  /** The annotation marks a group of objects. */
  readonly isCrowd: boolean;
  readonly segmentation?: CocoSegmentation;
}

/** [x, y, width, height] in pixels. */
export type CocoBox = readonly [x: number, y: number, width: number, height: number];

/** The content of an annotation file of COCO (`instances_val2017.json`). */
export interface CocoAnnotations {
  readonly images: readonly CocoImage[];
  readonly categories: readonly CocoCategory[];
  readonly annotations: readonly CocoAnnotation[];
}

/**
 * Reads an annotation file of COCO (Lin et al. 2014): boxes, and masks as polygons or run lengths. `iscrowd` may be absent, as may
 * `segmentation`, also `[]`.
 *
 * @throws InputError naming the file, the annotation (or image, category) by its id, and the key, if the file is invalid
 *
 * @example
 * const { images, annotations } = readCocoAnnotations('coco/instances_val.json');
 * console.log(images[0].fileName, annotations.filter(({ imageId }) => imageId === images[0].id));
 */
export function readCocoAnnotations(file: string): CocoAnnotations {
  const top = fieldsOf(readCocoJson(file), file);
  const images = read(top, 'images', 'image', imageOf);
  const categories = read(top, 'categories', 'category', (fields) => ({
    id: fields.integer('id'),
    name: fields.text('name'),
  }));
  const imageById = new Map(images.map((image) => [image.id, image]));
  const categoryIds = new Set(categories.map(({ id }) => id));
  const annotations = read(top, 'annotations', 'annotation', (fields) => {
    const image = imageById.get(fields.integer('image_id'));
    if (image === undefined) throw fields.wrong('image_id', 'is not the id of an image');
    const categoryId = fields.integer('category_id');
    if (!categoryIds.has(categoryId)) throw fields.wrong('category_id', 'is not the id of a category');
    return annotationOf(fields, image, categoryId);
  });
  return { images, categories, annotations };
}

/** Limit in bytes: that of a string in Node. The largest published file has 470 MB. */
const MOST_BYTES = 2 ** 29 - 25;

/** @throws InputError naming the file */
export function readCocoJson(file: string): unknown {
  try {
    return JSON.parse(readSmallText(file, MOST_BYTES));
  } catch (error) {
    throw new InputError(`${file}: cannot be read as JSON (${errorText(error).slice(0, 200)})`, {
      hint: 'it must be a JSON file in the format of COCO',
      cause: error,
    });
  }
}

/** Reads a list of objects, which are named by `what` and their id. */
function read<T extends { readonly id: number }>(
  top: Fields,
  key: string,
  what: string,
  make: (fields: Fields) => T,
): T[] {
  const requireUnique = uniqueId();
  return top.list(key).map((value, i) => {
    const fields = fieldsOf(value, `${top.where}: ${key}[${i}]`);
    const id = fields.integer('id');
    const named = fieldsOf(value, `${top.where}: ${what} ${id}`);
    requireUnique(named);
    return make(named);
  });
}

function imageOf(fields: Fields): CocoImage {
  const side = (key: string) => {
    const size = fields.integer(key);
    if (size < 1 || size > MOST_PIXELS) throw fields.wrong(key, `is not from 1 to ${MOST_PIXELS}`);
    return size;
  };
  return {
    id: fields.integer('id'),
    width: side('width'),
    height: side('height'),
    fileName: fields.text('file_name'),
  };
}

/** Limit for a side of an image; the square of it still fits the run lengths. */
const MOST_PIXELS = 2 ** 15;

function annotationOf(fields: Fields, image: CocoImage, categoryId: number): CocoAnnotation {
  const area = fields.number('area');
  if (area < 0) throw fields.wrong('area', 'is negative');
  const crowd = fields.has('iscrowd') ? fields.number('iscrowd') : 0;
  if (crowd !== 0 && crowd !== 1) throw fields.wrong('iscrowd', 'is neither 0 nor 1');
  const segmentation = requireSegmentation(fields, image);
  return {
    id: fields.integer('id'),
    imageId: image.id,
    categoryId,
    box: boxOf(fields),
    area,
    isCrowd: crowd === 1,
    ...(segmentation && { segmentation }),
  };
}

/** @throws InputError unless `bbox` is a box */
export function boxOf(fields: Fields): CocoBox {
  const numbers = fields.numbers('bbox');
  if (numbers.length !== 4) throw fields.wrong('bbox', `has ${numbers.length} numbers, not 4`);
  const [x, y, width, height] = numbers;
  if (width < 0 || height < 0) throw fields.wrong('bbox', 'has a negative width or height');
  return [x, y, width, height];
}
