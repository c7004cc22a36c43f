import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder, writeFileAtomic, writeJsonAtomic } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { type PhaseFolder, readRunJson } from './run-folder.js';

const natural = z.int().min(0);
const side = z.int().positive();
const percent = z.number().min(0).max(100).nullable();
const named = { class: natural, name: z.string().optional() };

/** Images of an evaluation, drawn with labels and predictions. */
const images = z.array(
  z.object({
    /** Index in the data set. */
    index: natural,
    /** Name in the data set. */
    file: z.string(),
    /** Size in pixels of each of the three panels of its picture: the image, its labels, the prediction. */
    width: side,
    height: side,
    /** The classes in the picture with their colours, the most frequent first. */
    classes: z.array(z.object({ ...named, colour: z.string().regex(/^#[0-9a-f]{6}$/) })),
  }),
);

/** Of a phase's last evaluation: the classes by label and some images. A percentage is null if the class does not occur. */
const schemas = {
  segmentation: z.object({
    /** The phase's step at the evaluation. */
    step: natural,
    classes: z.array(z.object({ ...named, iou: percent, acc: percent, pixels: natural })),
    images,
  }),
  detection: z.object({
    step: natural,
    /** AP of boxes and of masks. */
    classes: z.array(z.object({ ...named, ap: percent, mask_ap: percent, objects: natural })),
    images,
  }),
};

/** The tasks whose predictions are drawn. */
type DrawnTask = keyof typeof schemas;
type DetailsOf = { readonly [T in DrawnTask]: z.output<(typeof schemas)[T]> };

/** A phase's `segmentation.json` or `detection.json`. */
export type DrawnDetails = {
  [T in DrawnTask]: { readonly task: T } & DetailsOf[T];
}[DrawnTask];

export function detailsPath({ root }: PhaseFolder, task: DrawnTask): string {
  return join(root, `${task}.json`);
}

/** Path of the PNG of an image, counted from 0. It includes the step, so that the JSON file never refers to another step's. */
export function picturePath({ samples }: PhaseFolder, step: number, image: number): string {
  return join(samples, `map-${step}-${image}.png`);
}

/** The details of a phase; undefined if they are missing or invalid. */
export function readDrawnDetails(folder: PhaseFolder): DrawnDetails | undefined {
  for (const task of ['segmentation', 'detection'] as const) {
    const found = schemas[task].safeParse(readRunJson(detailsPath(folder, task))).data;
    if (found !== undefined) return { task, ...found } as DrawnDetails;
  }
  return undefined;
}

/** Writes the pictures, then their description, and removes the pictures of other steps. */
export function writeDrawnDetails(
  folder: PhaseFolder,
  { task, ...details }: DrawnDetails,
  pictures: readonly Uint8Array[],
): void {
  withFileErrors(folder.samples, () => makeFolder(folder.samples));
  const paths = pictures.map((_, image) => picturePath(folder, details.step, image));
  for (const [image, png] of pictures.entries()) writeFileAtomic(paths[image], png, { makesFolder: false });
  writeJsonAtomic(detailsPath(folder, task), details, { makesFolder: false });
  removePictures(folder, (path) => !paths.includes(path));
}

export function removeDrawnDetails(folder: PhaseFolder, task: DrawnTask): void {
  const path = detailsPath(folder, task);
  withFileErrors(path, () => rmSync(path, { force: true }));
  removePictures(folder, () => true);
}

function removePictures({ samples }: PhaseFolder, isOld: (path: string) => boolean): void {
  if (!existsSync(samples)) return;
  withFileErrors(samples, () => {
    for (const name of readdirSync(samples)) {
      const path = join(samples, name);
      if (/^map-\d+-\d+\.png$/.test(name) && isOld(path)) rmSync(path);
    }
  });
}
