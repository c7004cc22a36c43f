import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { errorText, InputError } from '../../base/errors.js';
import { readSmallText } from '../../files/small-file.js';
import type { Dataset } from '../dataset.js';
import { unknownEntries } from './folder-layout.js';
import type { Category } from './formats.js';
import { type NameList, nameListBuilder } from './name-list.js';

interface InaturalistOptions {
  readonly year: 2018 | 2019;
  /** Category by which the images are classified. Default `name`, the species. */
  readonly category?: Category;
}

const id = z.int();
const imagesSchema = z.object({
  images: z.array(z.object({ id, file_name: z.string() })).min(1),
  annotations: z.array(z.object({ image_id: id, category_id: id })),
});
type Images = z.infer<typeof imagesSchema>;

/**
 * iNaturalist 2018 or 2019 (Van Horn et al. 2018) from `train<year>.json`, `val<year>.json`, `categories.json` and the images.
 * Images have the paths in the JSON (`train_val2018/Aves/2761/<image>.jpg`) or, as in DeiT, paths without the name of the group
 * (`train_val2018/2761/<image>.jpg`).
 *
 * Labels are the same as DeiT's (`INatDataset` in its datasets.py): the values of the category are numbered in the order in
 * which they first occur in train's annotations. (DeiT takes the species of an image from its path, this code from the
 * annotations; in the published files, both are the same.)
 *
 * @throws InputError if a file is missing, is not valid JSON of this kind, or contradicts the other files about an image.
 */
export function inaturalist(
  folder: string,
  { year, category = 'name' }: InaturalistOptions,
): { train: Dataset; val: Dataset } {
  const valueById = categoryValues(join(folder, 'categories.json'), category);
  const train = readJson(join(folder, `train${year}.json`), imagesSchema);
  const labels = new Map<string, number>();
  for (const { category_id } of train.annotations) {
    const value = valueById(category_id);
    if (!labels.has(value)) labels.set(value, labels.size);
  }
  const dataset = (split: 'train' | 'val', images: Images) => {
    const file = join(folder, `${split}${year}.json`);
    const labelOf = (categoryId: number) => {
      const label = labels.get(valueById(categoryId));
      if (label !== undefined) return label;
      throw wrong(
        file,
        `has images of category ${categoryId} (${valueById(categoryId)}), which train does not have`,
      );
    };
    return annotatedImages({ folder, file, classes: [...labels.keys()] }, images, labelOf);
  };
  return {
    train: dataset('train', train),
    val: dataset('val', readJson(join(folder, `val${year}.json`), imagesSchema)),
  };
}

interface Place {
  readonly folder: string;
  /** The JSON file that describes the images. */
  readonly file: string;
  readonly classes: readonly string[];
}

function annotatedImages(
  { folder, file, classes }: Place,
  { images, annotations }: Images,
  labelOf: (categoryId: number) => number,
): Dataset {
  const categoryOf = new Map(annotations.map(({ image_id, category_id }) => [image_id, category_id]));
  const labels = Int32Array.from(images, (image) => {
    const categoryId = categoryOf.get(image.id);
    if (categoryId === undefined) throw wrong(file, `has no annotation of image ${image.id}`);
    return labelOf(categoryId);
  });
  const names = imageNames(folder, file, images);
  const path = (i: number) => join(folder, names.at(i));
  const imageFolders = new Set(images.map(({ file_name }) => file_name.split('/', 1)[0]));
  const isKnown = (name: string) =>
    imageFolders.has(name) || /^((train|val)201[89]|categories)\.json$/.test(name);
  return {
    length: images.length,
    classes,
    passedOver: unknownEntries(folder, isKnown),
    label: (i) => labels[i],
    describe: path,
    source: (i) => ({ file: path(i) }),
  };
}

/** The paths of the images. The first image decides whether they are the JSON's or DeiT's. */
function imageNames(folder: string, file: string, images: Images['images']): NameList {
  const layouts = [(name: string) => name, withoutGroup];
  const first = images[0].file_name;
  const layout = layouts.find((each) => existsSync(join(folder, each(first))));
  if (layout === undefined) {
    throw new InputError(`${join(folder, first)} not found (listed in ${file})`, {
      hint: 'Unpack the images into the folder of the JSON files.',
    });
  }
  const names = nameListBuilder();
  for (const { file_name: name } of images) {
    if (name.startsWith('/') || name.split('/').includes('..')) {
      throw wrong(file, `names an image outside its folder: ${name}`);
    }
    names.add(layout(name));
  }
  return names.build();
}

function withoutGroup(name: string): string {
  const parts = name.split('/');
  return parts.length === 4 ? [parts[0], ...parts.slice(2)].join('/') : name;
}

/** Returns a lookup of the category's value by the id of the species. */
function categoryValues(file: string, category: Category): (categoryId: number) => string {
  const schema = z.array(z.object({ id: id.optional(), [category]: z.string() }));
  const values = new Map(readJson(file, schema).map((each, i) => [each.id ?? i, each[category]]));
  return (categoryId) => {
    const value = values.get(categoryId);
    if (value !== undefined) return String(value);
    throw wrong(file, `has no category ${categoryId}`);
  };
}

const MOST_BYTES = 2 ** 29 - 25;

/** Reads a file of the data set. The published files have up to 120 MB. */
function readJson<T>(file: string, schema: z.ZodType<T>): T {
  let content: unknown;
  try {
    content = JSON.parse(readSmallText(file, MOST_BYTES));
  } catch (error) {
    throw new InputError(`${file}: cannot be read as JSON (${errorText(error).slice(0, 200)})`, {
      hint: 'Name the folder with the JSON files of iNaturalist, including categories.json.',
      cause: error,
    });
  }
  const { success, data, error } = schema.safeParse(content);
  if (success) return data;
  const [{ path, message }] = error.issues;
  throw wrong(file, `at ${path.join('.') || 'its top'}: ${message}`);
}

function wrong(file: string, what: string): InputError {
  return new InputError(`${file} ${what}`, {
    hint: 'Download it again, for the same year as the other files.',
  });
}
