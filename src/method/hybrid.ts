import { InputError } from '../base/errors.js';
import type { Divisible, Regime, StagedModel } from '../models/staged.js';
import type { InitContext } from '../nn/init.js';
import { assemble } from './assemble.js';
import { divide } from './divide.js';

/**
 * The hybrid in which target module `index` is incubated (paper, section 3.3, equation 4): the frozen meta model
 * with its stage `index` replaced by the module.
 * @returns the number of blocks of each stage
 *
 * @example
 * hybridDepths([3, 3, 3, 3], [1, 1, 1, 1], 2); // [1, 1, 3, 1]
 */
export function hybridDepths(target: readonly number[], meta: readonly number[], index: number): number[] {
  return meta.map((depth, stage) => (stage === index ? target[index] : depth));
}

/**
 * What each stage does while module `index` is incubated. A frozen stage never computes a weight gradient; the
 * official code computes those of the suffix and throws them away.
 *
 * @example
 * hybridRegimes(4, 2); // ['prefix', 'prefix', 'trained', 'suffix']
 */
export function hybridRegimes(stages: number, index: number): Regime[] {
  return Array.from({ length: stages }, (_, stage) =>
    stage < index ? 'prefix' : stage === index ? 'trained' : 'suffix',
  );
}

/**
 * The model in which target module `index` is incubated: a copy of the meta model, frozen, with a fresh module of
 * `target[index]` blocks in the place of its stage `index`. Training changes the module alone; once trained, it is
 * `stages[index]`, which `assemble` takes.
 * @param target blocks of each module, from `divide`
 * @param meta as many stages as there are modules; it stays the caller's
 * @throws InputError when the meta model has another number of stages, or is not made of `blueprint`; when `target` is
 *   not all its blocks
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const target = divide(4, { modules: 2 });
 * const meta = assemble(tiny, metaDepths(2), null, context); // to be trained first
 * const hybrids = target.map((_, i) => hybrid(tiny, target, meta, i, context)); // to be trained, each on its own
 * const model = assemble(tiny, target, hybrids.map(({ stages }, i) => stages[i]), context);
 */
export function hybrid(
  blueprint: Divisible,
  target: readonly number[],
  meta: StagedModel,
  index: number,
  context: InitContext,
  options: { readonly dropPath?: number } = {},
): StagedModel {
  const { stages } = meta;
  divide(blueprint.depth, { depths: target });
  if (stages.length !== target.length || !(index in target)) {
    throw new InputError(
      `module ${index} of ${target.length} has no place in a meta model of ${stages.length} stages`,
      { hint: 'the meta model needs a stage for each module: metaDepths(target.length)' },
    );
  }
  const depths = hybridDepths(
    target,
    stages.map(({ blocks }) => blocks.length),
    index,
  );
  const sources = stages.map((stage, i) => (i === index ? null : stage));
  return assemble(blueprint, depths, sources, context, {
    regimes: hybridRegimes(target.length, index),
    target,
    ...options,
  });
}
