import { isDeepStrictEqual } from 'node:util';
import { InputError } from '../base/errors.js';
import { allFamilies } from '../models/families/families.js';
import type { ModelFamily } from '../models/family.js';
import type { Phase } from './phase.js';
import { dataSection } from './recipe-data.js';
import type { Recipe } from './recipe-schema.js';

type TaskName = NonNullable<Recipe['task']>;

/** The tasks that replace the classification head by a decoder, with the kind of decoder and the section of each. */
const DECODERS = { segmentation: 'upernet', detection: 'mask-rcnn' } as const;
type DecoderTask = keyof typeof DECODERS;

/**
 * A recipe as written, with the sections that its task needs: `model.decoder` and a section with the name of the task. A model with a
 * decoder can only be used for the task of the decoder, so `model.decoder` implies the task. A detector has no class token.
 * @param source for messages
 * @throws InputError if a section belongs to another task, or the family has no decoder
 */
export function withTask(input: unknown, source: string, own: readonly ModelFamily[] = []): unknown {
  const { task: stated, model } = Object(input);
  const task: TaskName = stated ?? impliedTask(model) ?? 'classification';
  requireOwnSections(input, task, source);
  if (!isDecoderTask(task)) return input;
  requireDecodable(Object(model).family, task, source, allFamilies(own));
  // A copy keeps the user's families, which `model` carries.
  const decoded = Object(model) === model ? withDecoder(model, task) : model;
  return { ...Object(input), task, model: decoded, [task]: Object(input)[task] ?? {} };
}

function isDecoderTask(task: TaskName): task is DecoderTask {
  return Object.hasOwn(DECODERS, task);
}

/** The task of a section `model`, if it has a decoder. */
function impliedTask(model: unknown): DecoderTask | undefined {
  const { decoder } = Object(model);
  if (decoder === undefined) return undefined;
  return Object(decoder).kind === DECODERS.detection ? 'detection' : 'segmentation';
}

function withDecoder(model: object, task: DecoderTask): object {
  const { decoder = {} } = model as { readonly decoder?: unknown };
  const isSection = Object(decoder) === decoder;
  const named = isSection ? { kind: DECODERS[task], ...Object(decoder) } : decoder;
  return { ...(task === 'detection' && { class_token: false }), ...model, decoder: named };
}

/** @throws InputError naming a section of another task */
function requireOwnSections(input: unknown, task: TaskName, source: string): void {
  const { model } = Object(input);
  const implied = impliedTask(model);
  const found = (['segmentation', 'detection'] as const).find(
    (each) => each !== task && Object(input)[each] !== undefined,
  );
  const isOther = implied !== undefined && implied !== task && !isUnnamed(model, task);
  const kind = Object(Object(model).decoder).kind;
  const decoder = kind === undefined ? 'model.decoder' : `model.decoder.kind ${kind}`;
  const [other, of] = isOther ? [decoder, implied] : [found, found];
  if (other === undefined) return;
  throw new InputError(`${source}: ${other} is only for task: ${of}`, {
    hint: `set task: ${of}, or remove ${isOther ? 'model.decoder' : other}`,
  });
}

/** Whether a model has a decoder without a kind, which is then that of the task. */
function isUnnamed(model: unknown, task: TaskName): boolean {
  return isDecoderTask(task) && Object(Object(model).decoder).kind === undefined;
}

/** An unknown family is left to the schema. */
function requireDecodable(
  name: unknown,
  task: DecoderTask,
  source: string,
  families: readonly ModelFamily[],
): void {
  const takesDecoder = ({ section }: ModelFamily) => 'decoder' in section.shape;
  const found = families.find((family) => family.name === name);
  if (found === undefined || takesDecoder(found)) return;
  throw new InputError(`${source}: a ${found.title} has no decoder for task: ${task}`, {
    hint: `set model.family: ${families
      .filter(takesDecoder)
      .map((family) => family.name)
      .join(' or ')}`,
  });
}

/** The format of the data that a task needs. */
const FORMATS: Readonly<Record<DecoderTask, Recipe['data']['format']>> = {
  segmentation: 'ade20k',
  detection: 'coco',
};

/**
 * Checks that a recipe uses only what its task supports.
 * @throws InputError naming the key
 */
export function requireTaskKeys(
  { task, data }: Pick<Recipe, 'task' | 'data'>,
  phases: readonly Phase[],
  source: string,
): void {
  if (task === undefined || !isDecoderTask(task)) {
    requireImageLabels(data, source);
    return;
  }
  const refuse = (key: string, hint: string) => {
    throw new InputError(`${source}: ${key}: not supported by task: ${task}`, { hint });
  };
  const format = FORMATS[task];
  const labels = task === 'segmentation' ? 'label maps' : 'annotations';
  if (data.format !== format) refuse(`data.format ${data.format}`, `use data.format: ${format}`);
  const defaults = dataSection.parse({ format });
  if (data.augment !== 'none' && !isDeepStrictEqual(data.augment, defaults.augment))
    refuse('data.augment', `its transforms are in ${task}.augment`);
  if (data.classes !== undefined) refuse('data.classes', `the classes are those of the ${labels}`);
  if (data.sampling !== 'uniform')
    refuse(`data.sampling: ${data.sampling}`, 'remove it: an image has many classes');
  if (data.exif === 'apply') refuse('data.exif: apply', `${labels} have no orientation: remove it`);
  if (data.bad_images === 'replace') refuse('data.bad_images: replace', 'repair or remove damaged images');
  for (const phase of phases) requirePhaseKeys(phase, task, refuse, source);
}

function requireImageLabels({ format }: Recipe['data'], source: string): void {
  if (format !== 'ade20k' && format !== 'coco') return;
  const [each, task] = format === 'coco' ? ['object', 'detection'] : ['pixel', 'segmentation'];
  throw new InputError(`${source}: data.format ${format} has a label for each ${each}, not for each image`, {
    hint: `set task: ${task}`,
  });
}

function requirePhaseKeys(
  { name, settings, objective, local, regimes }: Phase,
  task: DecoderTask,
  refuse: (key: string, hint: string) => void,
  source: string,
): void {
  const { loss, label_smoothing: smoothing, distill, curriculum, batch_size: size } = settings;
  if (settings.class_weights !== null) refuse(`${name}: class_weights`, 'remove it, or set it to null');
  if (loss !== 'cross-entropy') refuse(`${name}: loss ${loss}`, 'remove it');
  if (smoothing !== 0) refuse(`${name}: label_smoothing ${smoothing}`, 'remove it, or set it to 0');
  if (distill !== null) refuse(`${name}: distill`, 'remove it, or set it to null');
  if (curriculum !== null) refuse(`${name}: curriculum`, 'remove it, or set it to null');
  if (objective === 'imitate') refuse(`${name}: objective imitate`, 'remove it');
  if (local !== undefined) refuse(`${name}: local`, 'remove it: InfoPro and DGL train classifiers');
  // Mask R-CNN has no batch norm.
  if (task !== 'segmentation' || size > 1 || regimes.at(-1) !== 'trained') return;
  throw new InputError(`${source}: ${name}: batch_size 1 is too small for the decoder's batch norm`, {
    hint: 'pooling to one pixel leaves one value for each channel: set batch_size to at least 2',
  });
}
