/**
 * The meta model (paper, section 3.2): as many stages as the target has modules, each `depth` blocks deep - one
 * in the paper - and of the same width, trained end to end before anything else.
 * @returns the number of blocks of each of its stages
 *
 * @example
 * metaDepths(4); // [1, 1, 1, 1]
 */
export function metaDepths(modules: number, depth = 1): number[] {
  return Array.from({ length: modules }, () => depth);
}
