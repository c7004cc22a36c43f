import { requireWhole } from '../base/numbers.js';

/**
 * The meta model (paper, section 3.2): as many stages as the target has modules, each `depth` blocks deep - one
 * in the paper - and of the same width, trained end to end before anything else.
 * @returns the number of blocks of each of its stages
 * @throws InputError unless both are whole numbers from 1
 *
 * @example
 * metaDepths(4); // [1, 1, 1, 1]
 */
export function metaDepths(modules: number, depth = 1): number[] {
  for (const [name, value] of Object.entries({ modules, depth })) requireWhole(name, value, 1);
  return Array.from({ length: modules }, () => depth);
}
