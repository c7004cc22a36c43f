import { z } from 'zod';
import { expandHome } from '../files/home.js';

// Kinds of numbers that recipes are made of.
export const count = z.int().positive();
export const rate = z.number().min(0).max(1);
export const positive = z.number().positive();
export const notNegative = z.number().min(0);

/** A path, or the name of weights; `~/` is the home folder. */
export const path = z.string().overwrite(expandHome);

const MOST_THREADS = 1024;

/** So many threads, workers or processes on one machine, or as many as fit: far more end in a system that has none left. */
export const autoOrFew = z.union([z.literal('auto'), count.max(MOST_THREADS)], {
  error: `expected auto or a whole number from 1 to ${MOST_THREADS}`,
});
