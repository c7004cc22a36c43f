import { z } from 'zod';
import { writeFileAtomic } from '../files/atomic.js';

const natural = z.int().min(0);

const schema = z
  .object({
    /** The phase's step at the evaluation. */
    step: natural,
    /** Number of the model's classes. */
    classes: z.int().positive(),
    /** Class names by label; missing if the classes have only numbers. */
    names: z.array(z.string()).optional(),
    /** Target, prediction, images: only pairs that occur, ascending. */
    counts: z.array(z.tuple([natural, natural, natural])),
    /** See `Confusion`. */
    hits: z.base64().optional(),
  })
  .refine(({ classes, counts }) => counts.every((row) => row[0] < classes && row[1] < classes));

/** A phase's `confusion.json`: the predictions of its last evaluation for the images of each class. */
export interface Confusion {
  readonly step: number;
  readonly classes: number;
  readonly names?: readonly string[] | undefined;
  readonly counts: readonly (readonly [target: number, prediction: number, images: number])[];
  /**
   * One bit per image in the order of the data set, 1 if the prediction was right, as base64. The first image is the lowest bit
   * of the first byte. It allows two models to be compared image by image. Missing in files of older versions.
   */
  readonly hits?: string | undefined;
}

/** Packs one entry per image, 1 for right, 0 for wrong, as `hits` of a confusion. */
export function packHits(hits: Uint8Array): string {
  const bytes = new Uint8Array(Math.ceil(hits.length / 8));
  for (const [image, hit] of hits.entries()) bytes[image >> 3] |= hit << (image & 7);
  return Buffer.from(bytes).toString('base64');
}

/** Unpacks the hits of `images` images; undefined if the file has no hits, or hits of another number of bytes. */
export function hitsOf({ hits }: Confusion, images: number): Uint8Array | undefined {
  if (hits === undefined) return undefined;
  const bytes = Buffer.from(hits, 'base64');
  if (bytes.length !== Math.ceil(images / 8)) return undefined;
  return Uint8Array.from({ length: images }, (_, image) => (bytes[image >> 3] >> (image & 7)) & 1);
}

/** Throws the same errors as `writeFileAtomic`. */
export function writeConfusion(path: string, confusion: Confusion): void {
  writeFileAtomic(path, `${JSON.stringify(confusion)}\n`, { makesFolder: false });
}

/** Validates a parsed `confusion.json`; undefined if it is invalid. */
export function confusionOf(value: unknown): Confusion | undefined {
  return schema.safeParse(value).data;
}
