import { z } from 'zod';

// Number types in recipes.
export const count = z.int().positive();
export const rate = z.number().min(0).max(1);
export const positive = z.number().positive();
export const notNegative = z.number().min(0);
