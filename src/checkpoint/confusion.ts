import { z } from 'zod';
import { writeFileAtomic } from './atomic.js';

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
  })
  .refine(({ classes, counts }) => counts.every((row) => row[0] < classes && row[1] < classes));

/** A phase's `confusion.json`: what its last evaluation took the images of each class for. */
export interface Confusion {
  readonly step: number;
  readonly classes: number;
  readonly names?: readonly string[] | undefined;
  readonly counts: readonly (readonly [target: number, prediction: number, images: number])[];
}

/** Throws as `writeFileAtomic`. */
export function writeConfusion(path: string, confusion: Confusion): void {
  writeFileAtomic(path, `${JSON.stringify(confusion)}\n`, { makesFolder: false });
}

/** What a parsed `confusion.json` says; nothing where it is none. */
export function confusionOf(value: unknown): Confusion | undefined {
  return schema.safeParse(value).data;
}
