import { InputError } from '../base/errors.js';
import { requireWhole } from '../base/numbers.js';

/**
 * Divides `depth` consecutive blocks into modules: evenly into `modules`, or into the explicit `depths`.
 * @returns the number of blocks in each module
 * @throws InputError if `modules` does not divide `depth`, or `depths` do not add up to it
 *
 * @example
 * divide(12, { modules: 4 }); // [3, 3, 3, 3]
 * divide(12, { depths: [2, 4, 4, 2] });
 */
export function divide(
  depth: number,
  into: { readonly modules: number } | { readonly depths: readonly number[] },
): number[] {
  requireWhole('depth', depth, 1);
  if ('depths' in into) {
    const shown = `incubation.depths [${into.depths.join(', ')}]`;
    const hint = 'each module needs at least one block, and the sum must be model.depth';
    if (into.depths.some((part) => !Number.isInteger(part) || part < 1)) {
      throw new InputError(`${shown}: every entry must be a number of blocks, at least 1`, { hint });
    }
    const total = into.depths.reduce((a, b) => a + b, 0);
    if (total !== depth) {
      throw new InputError(`${shown} add up to ${total}, but the model has ${depth} blocks`, { hint });
    }
    return [...into.depths];
  }
  const { modules } = into;
  if (!Number.isInteger(modules) || modules < 1 || depth % modules !== 0) {
    throw new InputError(`${modules} modules do not divide ${depth} blocks evenly`, {
      hint: `set incubation.modules to one of ${divisors(depth).join(', ')}, or set incubation.depths explicitly`,
    });
  }
  return Array.from({ length: modules }, () => depth / modules);
}

function divisors(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i + 1).filter((i) => n % i === 0);
}

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
