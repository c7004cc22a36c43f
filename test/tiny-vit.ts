import { readFileSync } from 'node:fs';
import type { VitConfig } from '../src/models/vit/config.js';

/** A vision transformer that trains in milliseconds; fixtures/rank.mjs reads the same file. */
export const TINY: VitConfig = JSON.parse(
  readFileSync(new URL('fixtures/tiny-vit-config.json', import.meta.url), 'utf8'),
);
