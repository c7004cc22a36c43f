import { InputError } from '../base/errors.js';
import { className, labelsByName, listed, numbered } from '../data/class-names.js';
import { folderLayout } from '../data/formats/folder-layout.js';
import { folderContent } from '../data/formats/folder-scan.js';
import { saysNames } from '../data/model-labels.js';
import { shownName } from '../files/file-names.js';
import { keptHeadOf, openAnyClasses, placeOf } from '../phase/images/images.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { classesOf, doubtfulClasses } from './start/checkpoint-classes.js';
import type { CheckpointFile } from './start/checkpoint-file.js';

/** The classes of a kept head, if the recipe does not list them. */
export interface StartClasses {
  /** Names by label; undefined if the labels do not follow from names. */
  readonly classes?: readonly string[];
  readonly notes: readonly string[];
  readonly assumptions: readonly string[];
}

const NOTHING: StartClasses = { notes: [], assumptions: [] };

/**
 * The class of each label of a kept head. If the head names its classes, the images may have only some of them.
 * The model of the recipe has as many classes as the head.
 * @throws InputError if the images have a different number of classes and the names do not identify them
 */
export function startClasses(
  { data, model, start }: Pick<Recipe, 'data' | 'model' | 'start'>,
  checkpoint: CheckpointFile,
): StartClasses {
  const label = keptHeadOf({ start });
  if (label === undefined || data.classes !== undefined) return NOTHING;
  const named = classesOf(checkpoint);
  const found = classesInData({ data });
  const isByName =
    named !== undefined &&
    found !== undefined &&
    saysNames(found, { count: named.names.length, named, isCertain: named.isOurs });
  if (!isByName) {
    if (found !== undefined) requireCount(found, model.classes, label, named?.names);
    const text = `the labels of the images are those of ${label}, which does not name its classes`;
    return named === undefined ? { notes: [], assumptions: [text] } : NOTHING;
  }
  const { names } = named;
  const labelsOf = labelsByName(found);
  const missing = names.filter((name) => labelsOf(name).length === 0);
  const subset =
    missing.length === 0
      ? []
      : [
          `${label}: the images are of ${found.length} of its ${names.length} classes; none of ${listed(missing)}`,
        ];
  return {
    classes: names,
    notes: [`labels are those of ${label}: ${numbered(names)}`, ...subset],
    assumptions: [doubtfulClasses(checkpoint) ?? []].flat(),
  };
}

/**
 * Names of the classes of the training images. Undefined if they have only numbers, or if the images cannot be opened:
 * opening them for training reports that error.
 */
function classesInData({ data }: Pick<Recipe, 'data'>): readonly string[] | undefined {
  const { format, path } = placeOf({ data });
  try {
    if (format === 'folder' && path !== undefined) {
      const { folders } = folderContent(folderLayout(path).parts?.train ?? path);
      return folders.length === 0 ? undefined : folders.map((name) => className(shownName(name)));
    }
    const { train } = openAnyClasses({ data });
    return train.isUnnamed ? undefined : train.classes;
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

function requireCount(
  found: readonly string[],
  classes: number,
  label: string,
  names: readonly string[] | undefined,
): void {
  if (found.length === classes) return;
  const why = names === undefined ? 'does not name them' : `has other names: ${listed(names, 2)}`;
  throw new InputError(
    `${label} has ${classes} classes and ${why}; the images have ${found.length}: ${listed(found)}`,
    {
      hint:
        `list all ${classes} names in data.classes, in label order, as the folders are named; ` +
        `or set start.head to new and model.classes to ${found.length}`,
    },
  );
}
