import { listed } from '../../data/class-names.js';
import type { ModelClasses, ModelImages } from '../../data/model-labels.js';
import { type OpenEvalOptions, openEvalDataset } from '../../data/open/open-dataset.js';
import { doubtfulClasses, modelClassesOf } from '../../launch/start/checkpoint-classes.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { note, noteAssumed } from '../terminal/output.js';

interface Classes {
  /** Number of classes of the model. */
  readonly count: number;
  /** Value of the `--classes` option. */
  readonly stated: string | undefined;
  readonly category?: Recipe['data']['category'];
}

/** The names of a checkpoint's classes. Prints a note if a list of names does not fit the model, or two contradict each other. */
export function knownClasses(checkpoint: CheckpointFile, classes: Classes): ModelClasses {
  const doubtful = classes.stated === undefined ? doubtfulClasses(checkpoint) : undefined;
  if (doubtful !== undefined) noteAssumed([doubtful]);
  return modelClassesOf(checkpoint, classes);
}

/** Images with the labels of a checkpoint. Prints notes about assumptions, and about classes without images. */
export function labelledImages(dir: string, options: OpenEvalOptions): ModelImages {
  const { model } = options;
  const images = openEvalDataset(dir, options);
  const { assumptions, missing } = images;
  noteAssumed(assumptions);
  if (missing.length > 0 && model.named !== undefined) {
    const which = `${missing.length.toLocaleString('en-US')} of the model's ${model.count} classes`;
    note(`without images in ${dir}: ${listed(missing)} (${which})`);
  }
  return images;
}
