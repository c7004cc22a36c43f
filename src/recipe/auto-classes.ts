import { InputError } from '../base/errors.js';
import { openDataset } from '../data/open/open-dataset.js';
import { dataSection } from './recipe-data.js';

/** Value of `model.classes` that stands for the number of classes of the images. */
const AUTO = 'auto';

/** A recipe as written, without `model.classes: auto`. */
interface CountedClasses {
  readonly input: unknown;
  /** The number of classes that was found; undefined if the recipe states it. */
  readonly classesFound?: number;
}

/**
 * Replaces `model.classes: auto` by the number of classes of the images. Other recipes are returned unchanged.
 * @param source for messages
 * @throws InputError if the images cannot be opened
 */
export function withClassesOfData(input: unknown, source: string): CountedClasses {
  const { model, data } = Object(input);
  if (Object(model).classes !== AUTO) return { input };
  const section = dataSection.safeParse(data);
  // An invalid section `data` is reported by the check of the whole recipe.
  const classes = section.success ? classesOf(section.data, source) : 1;
  return { input: { ...Object(input), model: { ...model, classes } }, classesFound: classes };
}

function classesOf(data: ReturnType<typeof dataSection.parse>, source: string): number {
  if (data.classes !== undefined) return data.classes.length;
  const { format, category, split, eval_split: evalSplit } = data;
  const path = data.path ?? (format === 'folder' ? '.' : undefined);
  try {
    return openDataset({ format, path, category, split, evalSplit }).train.classes.length;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`${source}: model.classes: auto needs the images: ${error.message}`, {
      hint: error.hint,
      cause: error,
    });
  }
}
