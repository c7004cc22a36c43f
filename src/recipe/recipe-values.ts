import { z } from 'zod';
import { expandHome } from '../files/home.js';

/** A path, or the name of weights. `~/` is expanded to the home folder. */
export const path = z
  .string()
  .refine((text) => !text.includes('\0'), 'a path cannot contain the character U+0000')
  .overwrite(expandHome);

const MOST_THREADS = 1024;

const FEW = { error: `expected auto or a whole number from 1 to ${MOST_THREADS}` };

/** `auto`, or the number of threads, workers or processes on one machine. Far larger numbers would exhaust the system. */
export const autoOrFew = z.union([z.literal('auto'), z.int(FEW).min(1, FEW).max(MOST_THREADS, FEW)], FEW);

/** What is wrong with the address of a tracker's server; undefined if it is valid. */
export function urlProblem(text: string): string | undefined {
  if (!URL.canParse(text) || !['http:', 'https:'].includes(new URL(text).protocol)) {
    return 'expected an address like http://localhost:5000';
  }
  const { username, password, search, hash } = new URL(text);
  if ([username, password, search, hash].every((part) => part === '')) return undefined;
  return 'addresses are stored with the run, so passwords and tokens belong into environment variables: see docs/trackers.md';
}
