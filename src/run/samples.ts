import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder, writeFileAtomic, writeJsonAtomic } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';

const natural = z.int().min(0);
const share = z.number().min(0).max(1).nullable();
const known = { label: natural, name: z.string().optional() };

const schema = z.object({
  /** The phase's step; 0 before the first one. */
  step: natural,
  /** Size in pixels of each image in the strip, which has the images side by side. */
  width: z.int().positive(),
  height: z.int().positive(),
  images: z.array(
    z.object({
      /** Index in the data set. */
      index: natural,
      /** Name in the data set. */
      file: z.string(),
      /** Training targets; mixed images have two. */
      targets: z.array(z.object({ ...known, weight: share })),
      /** The most likely classes, likeliest first; only for evaluated images. Null: not finite. */
      predictions: z.array(z.object({ ...known, probability: share })).optional(),
    }),
  ),
});

/** `train.json` or `eval.json` in a phase's `samples/`: describes the images of the strip next to it. */
export type Samples = z.infer<typeof schema>;
export type SampleImage = Samples['images'][number];

/** `train`: images of the first batch, as the model sees them; `eval`: images of the last evaluation. */
export type SampleKind = 'train' | 'eval';

export const samplesPath = (folder: string, kind: SampleKind) => join(folder, `${kind}.json`);

/** Path of the PNG strip. It includes the step, so that the JSON file never refers to another step's strip. */
export const stripPath = (folder: string, kind: SampleKind, step: number) =>
  join(folder, `${kind}-${step}.png`);

/** Validates a parsed file; undefined if it is invalid. */
export function samplesOf(value: unknown): Samples | undefined {
  return schema.safeParse(value).data;
}

/** Writes the strip and its description. A reader sees either the old or the new pair. */
export function writeSamples(folder: string, kind: SampleKind, samples: Samples, png: Uint8Array): void {
  const strip = stripPath(folder, kind, samples.step);
  withFileErrors(folder, () => {
    makeFolder(folder);
  });
  writeFileAtomic(strip, png, { makesFolder: false });
  writeJsonAtomic(samplesPath(folder, kind), samples, { makesFolder: false });
  removeStrips(folder, kind, (path) => path !== strip);
}

export function removeSamples(folder: string, kind: SampleKind): void {
  withFileErrors(folder, () => rmSync(samplesPath(folder, kind), { force: true }));
  removeStrips(folder, kind, () => true);
}

function removeStrips(folder: string, kind: SampleKind, isOld: (path: string) => boolean): void {
  if (!existsSync(folder)) return;
  withFileErrors(folder, () => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (/^(train|eval)-\d+\.png$/.test(name) && name.startsWith(kind) && isOld(path)) rmSync(path);
    }
  });
}
