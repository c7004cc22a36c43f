#!/usr/bin/env node
/**
 * Measures the structure of the sources, and compares it with the limits of scripts/structure.json. Fails if a figure is above its limit.
 *
 *   npm run structure                 prints the figures
 *   npm run structure -- --lower      lowers each limit to its figure
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { main } from './lib/failure.mjs';
import { root } from './lib/paths.mjs';
import { measureStructure } from './lib/structure.mjs';

const LIMITS = join(root, 'scripts/structure.json');

await main(async () => {
  const figures = measureStructure(join(root, 'src'));
  /** @type {Partial<Record<string, number>>} */
  const limits = JSON.parse(readFileSync(LIMITS, 'utf8'));
  if (process.argv.includes('--lower')) {
    const lowered = Object.entries(figures).flatMap(([name, figure]) => {
      const limit = limits[name];
      return limit === undefined ? [] : [[name, Math.min(limit, figure)]];
    });
    writeFileSync(LIMITS, `${JSON.stringify(Object.fromEntries(lowered), null, 2)}\n`);
    return 0;
  }
  let code = 0;
  for (const [name, figure] of Object.entries(figures)) {
    const limit = limits[name];
    const isAbove = limit !== undefined && figure > limit;
    if (isAbove) code = 1;
    const note = limit === undefined ? '' : `${isAbove ? 'above' : 'at most'} ${limit}`;
    process.stdout.write(`${name.padEnd(22)} ${String(figure).padStart(5)}  ${note}\n`);
  }
  return code;
});
