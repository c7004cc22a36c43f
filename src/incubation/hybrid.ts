import type { Regime } from '../models/staged.js';

/**
 * The hybrid in which target module `index` is incubated (paper, section 3.3, equation 4): the frozen meta model
 * with its stage `index` replaced by the module.
 * @returns the number of blocks of each stage
 */
export function hybridDepths(target: readonly number[], meta: readonly number[], index: number): number[] {
  return meta.map((depth, stage) => (stage === index ? target[index] : depth));
}

/**
 * What each stage does while module `index` is incubated. A frozen stage never computes a weight gradient; the
 * official code computes those of the suffix and throws them away.
 */
export function hybridRegimes(stages: number, index: number): Regime[] {
  return Array.from({ length: stages }, (_, stage) =>
    stage < index ? 'prefix' : stage === index ? 'trained' : 'suffix',
  );
}
