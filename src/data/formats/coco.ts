import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { type CocoAnnotation, type CocoAnnotations, readCocoAnnotations } from '../coco/annotations.js';
import type { Dataset } from '../dataset.js';
import type { AnnotatedImage, AnnotatedObject, ImageSides } from '../objects.js';
import { passedOverTally } from '../passed-over.js';

const ANNOTATIONS = 'annotations';
const INSTANCES = /^instances_((train|val)[^/]*)\.json$/;

type CocoPart = 'train' | 'val';

/** The file of a part's annotations, and the folder of its images. */
interface PartFiles {
  readonly file: string;
  readonly images: string;
}

/**
 * COCO's instances (Lin et al. 2014): `annotations/instances_{train,val}*.json`, such as `instances_train2017.json`, and the images in
 * the folder `train2017` or `images/train2017`. The labels are the categories in the order of their ids. Training images without an object
 * to learn, or with a side below 32 pixels, are not read.
 * @param root the folder with `annotations`
 * @throws InputError naming the file, the annotation or the image that is missing or invalid
 */
export function coco(root: string): { readonly train: Dataset; readonly val: Dataset } {
  const train = cocoPart(root, 'train');
  const val = cocoPart(root, 'val');
  const names = ({ classes, categoryIds }: Dataset) => JSON.stringify([classes, categoryIds]);
  if (names(train) === names(val)) return { train, val };
  throw new InputError(`${root}: the categories of the training and the validation annotations differ`, {
    hint: 'Both files need the same categories, with the same ids and names.',
  });
}

/** Whether a folder has COCO's annotations. */
export function holdsCoco(root: string): boolean {
  return annotationFiles(root).length > 0;
}

function annotationFiles(root: string): string[] {
  return namesIn(join(root, ANNOTATIONS)).filter((name) => INSTANCES.test(name));
}

/** The names in a folder; none if it does not exist or is not a folder. */
function namesIn(path: string): string[] {
  return existsSync(path) && statSync(path).isDirectory() ? readdirSync(path) : [];
}

/** One part of a data set in COCO's layout; see `coco`. */
export function cocoPart(root: string, part: CocoPart): Dataset {
  const { file, images: folder } = filesOf(root, part);
  const content = readCocoAnnotations(file);
  const all = annotatedImages(content, file);
  const nameOf = new Map(content.images.map(({ id, fileName }) => [id, join(folder, fileName)]));
  const pathOf = (image: AnnotatedImage) => nameOf.get(image.id) as string;
  const tally = passedOverTally();
  const used =
    part === 'val' ? all : all.filter((image) => isUseful(image, (why) => tally.add(why, pathOf(image))));
  requireObjects(used, file);
  requireFiles(used.map(pathOf), file);
  const categories = sortedById(content.categories);
  return {
    length: used.length,
    classes: categories.map(({ name }) => name),
    categoryIds: categories.map(({ id }) => id),
    passedOver: tally.list(),
    label: () => 0,
    describe: (i) => pathOf(used[i]),
    source: (i) => ({ file: pathOf(used[i]) }),
    objects: (i) => used[i],
  };
}

function filesOf(root: string, part: CocoPart): PartFiles {
  const names = annotationFiles(root).filter((name) => INSTANCES.exec(name)?.[2] === part);
  const [name, other] = names;
  if (name === undefined || other !== undefined) {
    const found = name === undefined ? 'no' : 'more than one';
    throw new InputError(`${root}: ${found} file ${ANNOTATIONS}/instances_${part}*.json`, {
      hint: `COCO's layout has one annotation file for each part, such as ${ANNOTATIONS}/instances_${part}2017.json, and its images in ${part}2017.`,
    });
  }
  const folder = INSTANCES.exec(name)?.[1] as string;
  const images = [join(root, folder), join(root, 'images', folder)].find((path) => existsSync(path));
  const file = join(root, ANNOTATIONS, name);
  if (images !== undefined) return { file, images };
  throw new InputError(`${join(root, folder)} does not exist: the images of ${file}`, {
    hint: `The images of instances_${folder}.json must be in the folder ${folder} or images/${folder}.`,
  });
}

/** The images in the order of their ids, with the objects of each. */
function annotatedImages(
  { images, categories, annotations }: CocoAnnotations,
  file: string,
): AnnotatedImage[] {
  const labels = new Map(sortedById(categories).map(({ id }, label) => [id, label]));
  const objects = new Map<number, AnnotatedObject[]>();
  for (const annotation of annotations) {
    const list = objects.get(annotation.imageId);
    const object = objectOf(annotation, labels, file);
    if (list === undefined) objects.set(annotation.imageId, [object]);
    else list.push(object);
  }
  return sortedById(images).map(({ id, width, height }) => ({
    id,
    width,
    height,
    objects: objects.get(id) ?? [],
  }));
}

function objectOf(
  { id, categoryId, box, area, isCrowd, segmentation }: CocoAnnotation,
  labels: ReadonlyMap<number, number>,
  file: string,
): AnnotatedObject {
  if (segmentation === undefined) {
    throw new InputError(`${file}: annotation ${id} has no segmentation`, {
      hint: 'task: detection also learns masks: add polygons or run lengths, for a plain box its four corners.',
    });
  }
  return { id, label: labels.get(categoryId) as number, box, area, isCrowd, segmentation };
}

/** Shorter images are not trained on, as in mmdetection. */
const LEAST_SIDE = 32;

function isUseful(image: AnnotatedImage, leaveOut: (why: string) => void): boolean {
  const why =
    Math.min(image.width, image.height) < LEAST_SIDE
      ? `images with a side below ${LEAST_SIDE} pixels`
      : image.objects.some((object) => isLearnt(object, image))
        ? undefined
        : 'images without objects';
  if (why !== undefined) leaveOut(why);
  return why === undefined;
}

/** Whether a model learns to find an object: crowds and objects of less than a pixel are left out. */
export function isLearnt(
  { box: [x, y, width, height], area, isCrowd }: AnnotatedObject,
  image: ImageSides,
): boolean {
  const inside = (start: number, length: number, end: number) =>
    Math.min(start + length, end) - Math.max(start, 0) > 0;
  const isInside = inside(x, width, image.width) && inside(y, height, image.height);
  return !isCrowd && area > 0 && width >= 1 && height >= 1 && isInside;
}

function requireObjects(images: readonly AnnotatedImage[], file: string): void {
  if (images.some((image) => image.objects.some((object) => isLearnt(object, image)))) return;
  throw new InputError(`${file} has no objects`, {
    hint: 'Each part needs images with annotations that are not crowds and have an area.',
  });
}

/** Lists each folder once, because a data set may have many thousands of images. */
function requireFiles(paths: readonly string[], file: string): void {
  const listed = new Map<string, ReadonlySet<string>>();
  for (const path of paths) {
    const slash = path.lastIndexOf('/');
    const folder = path.slice(0, slash);
    const names = listed.get(folder) ?? new Set(namesIn(folder));
    listed.set(folder, names);
    if (names.has(path.slice(slash + 1))) continue;
    throw new InputError(`${path} does not exist: an image of ${file}`, {
      hint: 'Restore the image, or remove it from the annotations.',
    });
  }
}

function sortedById<T extends { readonly id: number }>(all: readonly T[]): T[] {
  return [...all].sort((a, b) => a.id - b.id);
}
