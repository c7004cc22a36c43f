import { InputError } from '../../base/errors.js';
import type { Batch, Dataset } from '../../data/dataset.js';
import { ade20k } from '../../data/formats/ade20k.js';
import { cocoPart } from '../../data/formats/coco.js';
import { subset } from '../../data/loader/sampler.js';
import { dataFormatOf, publishedPart } from '../../data/open/open-dataset.js';
import type { SplitChoice } from '../../data/splits.js';
import { modelClassesOf } from '../../launch/start/checkpoint-classes.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import type { ModelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';

/** The data sets that have labels of pixels or objects. */
const FORMATS = {
  ade20k: {
    has: 'label maps',
    does: 'labels pixels',
    hint: "use a data set in ADE20K's layout: images, annotations and objectInfo150.txt",
    open: (data: string, part: 'train' | 'val') => ade20k(data)[part],
  },
  coco: {
    has: 'annotations of objects',
    does: 'finds objects',
    hint: "use a data set in COCO's layout: annotations/instances_val2017.json and val2017",
    open: cocoPart,
  },
} as const;

interface PartOptions {
  readonly data: string;
  readonly split?: SplitChoice | 'held-out' | undefined;
  readonly format: keyof typeof FORMATS;
}

/**
 * The images of a part of a data set with labels of pixels or objects, whose classes must be those of the model.
 * @throws InputError if the data set has another format or other classes
 */
export function annotatedImages(
  checkpoint: CheckpointFile,
  { recipe }: ModelOfCheckpoint,
  { data, split, format }: PartOptions,
): { readonly dataset: Dataset; readonly names: readonly string[] } {
  const { has, does, hint, open } = FORMATS[format];
  if (dataFormatOf(data) !== format) {
    throw new InputError(`${data} has no ${has}, but ${checkpoint.name} ${does}`, { hint });
  }
  const part = publishedPart(data, split === 'held-out' ? 'val' : split, format);
  const dataset = subset(open(data, part), recipe.data.eval_images);
  const { classes: count } = recipe.model;
  const named = modelClassesOf(checkpoint, { count, stated: undefined }).named?.names;
  const names = named ?? dataset.classes;
  const differing = dataset.classes.findIndex((name, label) => name !== names[label]);
  if (dataset.classes.length === count && differing < 0) return { dataset, names };
  const what =
    dataset.classes.length === count
      ? `class ${differing} is ${dataset.classes[differing]}, but ${names[differing]} in ${checkpoint.name}`
      : `${dataset.classes.length} classes, but ${checkpoint.name} has ${count}`;
  throw new InputError(`${data}: ${what}`, { hint: 'use the data set that the model was trained on' });
}

/** Reports the number of images that have been evaluated. */
export async function* counted(
  batches: AsyncIterable<Batch>,
  show: (done: number) => void,
): AsyncGenerator<Batch> {
  let done = 0;
  for await (const batch of batches) {
    yield batch;
    show(++done);
  }
}
