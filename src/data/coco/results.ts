import { InputError } from '../../base/errors.js';
import { writeFileAtomic } from '../../files/atomic.js';
import { boxOf, type CocoAnnotations, type CocoBox, readCocoJson } from './annotations.js';
import { fieldsOf, isList } from './json-fields.js';
import { type CocoSegmentation, requireSegmentation } from './segmentation.js';

/** A detected object. */
export interface CocoResult {
  readonly imageId: number;
  readonly categoryId: number;
  readonly score: number;
  /** Needed to evaluate boxes. */
  readonly box?: CocoBox;
  /** Needed to evaluate masks. */
  readonly segmentation?: CocoSegmentation;
}

/**
 * Writes detections as a results file of COCO.
 * @param kind `boxes` writes `bbox`, `masks` writes `segmentation`. A file with both would make COCO's own evaluation take the
 *   area of a mask from its box.
 * @throws InputError if a result lacks what is to be written
 *
 * @example
 * writeCocoResults('results.json', [{ imageId: 1, categoryId: 1, score: 0.9, box: [0, 0, 8, 8] }], 'boxes');
 */
export function writeCocoResults(
  file: string,
  results: readonly CocoResult[],
  kind: 'boxes' | 'masks',
): void {
  const lines = results.map(({ imageId, categoryId, score, box, segmentation }, i) => {
    const [key, what] = kind === 'boxes' ? ['bbox', box] : ['segmentation', segmentation];
    if (what === undefined) throw new InputError(`result ${i} has no ${key}: ${kind} cannot be written`);
    return JSON.stringify({ image_id: imageId, category_id: categoryId, [key]: what, score });
  });
  writeFileAtomic(file, lines.length === 0 ? '[]\n' : `[\n${lines.join(',\n')}\n]\n`);
}

/**
 * Reads a results file of COCO.
 * @param truths the annotations of the images
 * @throws InputError naming the file, the result by its index, and the key
 *
 * @example
 * const truths = readCocoAnnotations('coco/instances_val.json');
 * readCocoResults('coco/results.json', truths)[0].score;
 */
export function readCocoResults(file: string, truths: CocoAnnotations): CocoResult[] {
  const list = readCocoJson(file);
  if (!isList(list)) throw new InputError(`${file} is not a list of results`);
  const imageById = new Map(truths.images.map((image) => [image.id, image]));
  const categoryIds = new Set(truths.categories.map(({ id }) => id));
  return list.map((value, i) => {
    const fields = fieldsOf(value, `${file}: result ${i}`);
    const image = imageById.get(fields.integer('image_id'));
    if (image === undefined) throw fields.wrong('image_id', 'is not the id of an image');
    const categoryId = fields.integer('category_id');
    if (!categoryIds.has(categoryId)) throw fields.wrong('category_id', 'is not the id of a category');
    const segmentation = requireSegmentation(fields, image);
    return {
      imageId: image.id,
      categoryId,
      score: fields.number('score'),
      ...(fields.has('bbox') && { box: boxOf(fields) }),
      ...(segmentation && { segmentation }),
    };
  });
}
