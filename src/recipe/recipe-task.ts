import { isDeepStrictEqual } from 'node:util';
import { InputError } from '../base/errors.js';
import { allFamilies } from '../models/families/families.js';
import type { ModelFamily } from '../models/family.js';
import type { Phase } from './phase.js';
import { dataSection } from './recipe-data.js';
import type { Recipe } from './recipe-schema.js';

/** Whether a section `model` is that of a segmentation model. */
function hasDecoder(model: unknown): boolean {
  return Object(model).decoder !== undefined;
}

/**
 * A recipe as written, with the sections that its task needs: for segmentation, `model.decoder` and `segmentation`. A model with a
 * decoder can only be used for segmentation, so `model.decoder` implies the task.
 * @param source for messages
 * @throws InputError if a section belongs to another task, or the family has no decoder
 */
export function withTask(input: unknown, source: string, own: readonly ModelFamily[] = []): unknown {
  const { task, model, segmentation } = Object(input);
  if (task === 'segmentation' || (task === undefined && hasDecoder(model))) {
    requireDecodable(Object(model).family, source, allFamilies(own));
    // A copy keeps the user's families, which `model` carries.
    const decoded = Object(model) === model && !hasDecoder(model) ? { ...model, decoder: {} } : model;
    return { ...Object(input), task: 'segmentation', model: decoded, segmentation: segmentation ?? {} };
  }
  const other = hasDecoder(model) ? 'model.decoder' : segmentation === undefined ? undefined : 'segmentation';
  if (other === undefined) return input;
  throw new InputError(`${source}: ${other} is only for task: segmentation`, {
    hint: `set task: segmentation, or remove ${other}`,
  });
}

/** An unknown family is left to the schema. */
function requireDecodable(name: unknown, source: string, families: readonly ModelFamily[]): void {
  const takesDecoder = ({ section }: ModelFamily) => 'decoder' in section.shape;
  const found = families.find((family) => family.name === name);
  if (found === undefined || takesDecoder(found)) return;
  throw new InputError(`${source}: a ${found.title} has no decoder for task: segmentation`, {
    hint: `set model.family: ${families
      .filter(takesDecoder)
      .map((family) => family.name)
      .join(' or ')}`,
  });
}

/**
 * Checks that a recipe uses only what its task supports.
 * @throws InputError naming the key
 */
export function requireTaskKeys(
  { data, segmentation }: Pick<Recipe, 'data' | 'segmentation'>,
  phases: readonly Phase[],
  source: string,
): void {
  if (segmentation === undefined) {
    if (data.format !== 'ade20k') return;
    throw new InputError(`${source}: data.format ade20k has a label for each pixel, not for each image`, {
      hint: 'set task: segmentation',
    });
  }
  const refuse = (key: string, hint: string) => {
    throw new InputError(`${source}: ${key}: not supported by task: segmentation`, { hint });
  };
  if (data.format !== 'ade20k') refuse(`data.format ${data.format}`, 'use data.format: ade20k');
  const defaults = dataSection.parse({ format: 'ade20k' });
  if (data.augment !== 'none' && !isDeepStrictEqual(data.augment, defaults.augment))
    refuse('data.augment', 'its transforms are in segmentation.augment');
  if (data.classes !== undefined) refuse('data.classes', 'the classes are those of the label maps');
  if (data.sampling !== 'uniform')
    refuse(`data.sampling: ${data.sampling}`, 'remove it: an image has many classes');
  if (data.exif === 'apply') refuse('data.exif: apply', 'label maps have no orientation: remove it');
  if (data.bad_images === 'replace') refuse('data.bad_images: replace', 'repair or remove damaged images');
  for (const { name, settings, objective, local, regimes } of phases) {
    const { loss, label_smoothing: smoothing, distill, curriculum, batch_size: size } = settings;
    if (settings.class_weights !== null) refuse(`${name}: class_weights`, 'remove it, or set it to null');
    if (loss !== 'cross-entropy') refuse(`${name}: loss ${loss}`, 'remove it');
    if (smoothing !== 0) refuse(`${name}: label_smoothing ${smoothing}`, 'remove it, or set it to 0');
    if (distill !== null) refuse(`${name}: distill`, 'remove it, or set it to null');
    if (curriculum !== null) refuse(`${name}: curriculum`, 'remove it, or set it to null');
    if (objective === 'imitate') refuse(`${name}: objective imitate`, 'remove it');
    if (local !== undefined) refuse(`${name}: local`, 'remove it: InfoPro and DGL train classifiers');
    if (size > 1 || regimes.at(-1) !== 'trained') continue;
    throw new InputError(`${source}: ${name}: batch_size 1 is too small for the decoder's batch norm`, {
      hint: 'pooling to one pixel leaves one value for each channel: set batch_size to at least 2',
    });
  }
}
