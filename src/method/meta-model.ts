import { requireWhole } from '../base/numbers.js';

/**
 * The depths of the meta model (paper, section 3.2): one stage per target module, each `depth` blocks deep (one in the
 * paper) and of the same width, trained end to end before the modules.
 * @returns the number of blocks in each stage
 * @throws InputError unless both are integers of at least 1
 *
 * @example
 * metaDepths(4); // [1, 1, 1, 1]
 */
export function metaDepths(modules: number, depth = 1): number[] {
  for (const [name, value] of Object.entries({ modules, depth })) requireWhole(name, value, 1);
  return Array.from({ length: modules }, () => depth);
}
