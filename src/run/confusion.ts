import { z } from 'zod';
import { writeFileAtomic } from '../files/atomic.js';

const natural = z.int().min(0);

const schema = z
  .object({
    /** Of the phase when it was judged. */
    step: natural,
    /** That the model tells apart. */
    classes: z.int().positive(),
    /** Of the classes, by label; absent where they have none but their numbers. */
    names: z.array(z.string()).optional(),
    /** Target, prediction, images: pairs that occur alone, ascending. */
    counts: z.array(z.tuple([natural, natural, natural])),
    /** See `Confusion`. */
    hits: z.base64().optional(),
  })
  .refine(({ classes, counts }) => counts.every((row) => row[0] < classes && row[1] < classes));

/** A phase's `confusion.json`: what its last evaluation took the images of each class for. */
export interface Confusion {
  readonly step: number;
  readonly classes: number;
  readonly names?: readonly string[] | undefined;
  readonly counts: readonly (readonly [target: number, prediction: number, images: number])[];
  /**
   * A bit per image in the order of the data set, 1 if it was right, the first in the lowest bit of the first byte, as base64: two
   * models are compared image by image with it. Absent in files of older versions.
   */
  readonly hits?: string | undefined;
}

/** One entry per image, 1 for right, 0 for wrong, as `hits` of a confusion. */
export function packHits(hits: Uint8Array): string {
  const bytes = new Uint8Array(Math.ceil(hits.length / 8));
  for (const [image, hit] of hits.entries()) bytes[image >> 3] |= hit << (image & 7);
  return Buffer.from(bytes).toString('base64');
}

/** The entries of so many images; undefined if the file has no hits, or those of another number of images. */
export function hitsOf({ hits }: Confusion, images: number): Uint8Array | undefined {
  if (hits === undefined) return undefined;
  const bytes = Buffer.from(hits, 'base64');
  if (bytes.length !== Math.ceil(images / 8)) return undefined;
  return Uint8Array.from({ length: images }, (_, image) => (bytes[image >> 3] >> (image & 7)) & 1);
}

/** Throws as `writeFileAtomic`. */
export function writeConfusion(path: string, confusion: Confusion): void {
  writeFileAtomic(path, `${JSON.stringify(confusion)}\n`, { makesFolder: false });
}

/** What a parsed `confusion.json` says; nothing where it is none. */
export function confusionOf(value: unknown): Confusion | undefined {
  return schema.safeParse(value).data;
}
