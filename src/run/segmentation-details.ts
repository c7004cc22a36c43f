import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder, writeFileAtomic, writeJsonAtomic } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import type { PhaseFolder } from './run-folder.js';

const natural = z.int().min(0);
const side = z.int().positive();
const percent = z.number().min(0).max(100).nullable();
const named = { class: natural, name: z.string().optional() };

const schema = z.object({
  /** The phase's step at the evaluation. */
  step: natural,
  /** By label. Null: not defined, because the class does not occur. */
  classes: z.array(z.object({ ...named, iou: percent, acc: percent, pixels: natural })),
  images: z.array(
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
  ),
});

/** A phase's `segmentation.json`: the classes and some images of its last evaluation. */
export type SegmentationDetails = z.infer<typeof schema>;

export function segmentationDetailsPath({ root }: PhaseFolder): string {
  return join(root, 'segmentation.json');
}

/** Path of the PNG of an image, counted from 0. It includes the step, so that the JSON file never refers to another step's. */
export function mapPath({ samples }: PhaseFolder, step: number, image: number): string {
  return join(samples, `map-${step}-${image}.png`);
}

/** Validates a parsed file; undefined if it is invalid. */
export function segmentationDetailsOf(value: unknown): SegmentationDetails | undefined {
  return schema.safeParse(value).data;
}

/** Writes the pictures, then their description, and removes the pictures of other steps. */
export function writeSegmentationDetails(
  folder: PhaseFolder,
  details: SegmentationDetails,
  pictures: readonly Uint8Array[],
): void {
  withFileErrors(folder.samples, () => makeFolder(folder.samples));
  const paths = pictures.map((_, image) => mapPath(folder, details.step, image));
  for (const [image, png] of pictures.entries()) writeFileAtomic(paths[image], png, { makesFolder: false });
  writeJsonAtomic(segmentationDetailsPath(folder), details, { makesFolder: false });
  removeMaps(folder, (path) => !paths.includes(path));
}

export function removeSegmentationDetails(folder: PhaseFolder): void {
  withFileErrors(segmentationDetailsPath(folder), () =>
    rmSync(segmentationDetailsPath(folder), { force: true }),
  );
  removeMaps(folder, () => true);
}

function removeMaps({ samples }: PhaseFolder, isOld: (path: string) => boolean): void {
  if (!existsSync(samples)) return;
  withFileErrors(samples, () => {
    for (const name of readdirSync(samples)) {
      const path = join(samples, name);
      if (/^map-\d+-\d+\.png$/.test(name) && isOld(path)) rmSync(path);
    }
  });
}
