import { z } from 'zod';
import { expandHome } from '../files/home.js';

// Number types in recipes.
export const count = z.int().positive();
export const rate = z.number().min(0).max(1);
export const positive = z.number().positive();
export const notNegative = z.number().min(0);

/** A path, or the name of weights. `~/` is expanded to the home folder. */
export const path = z.string().overwrite(expandHome);

const MOST_THREADS = 1024;

/** `auto`, or the number of threads, workers or processes on one machine. Far larger numbers would exhaust the system. */
export const autoOrFew = z.union([z.literal('auto'), count.max(MOST_THREADS)], {
  error: `expected auto or a whole number from 1 to ${MOST_THREADS}`,
});
