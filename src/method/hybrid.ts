import { InputError } from '../base/errors.js';
import type { Divisible, Regime, StagedModel } from '../models/staged.js';
import type { InitContext } from '../nn/init.js';
import { type AssembleOptions, assemble } from './assemble.js';
import { divide } from './divide.js';
import { grow } from './grow.js';
import type { ModuleInit } from './grow-plan.js';

/**
 * The depths of the hybrid that incubates target module `index` (paper, section 3.3, equation 4): the frozen meta model
 * with its stage `index` replaced by the module.
 * @returns the number of blocks in each stage
 *
 * @example
 * hybridDepths([3, 3, 3, 3], [1, 1, 1, 1], 2); // [1, 1, 3, 1]
 */
export function hybridDepths(target: readonly number[], meta: readonly number[], index: number): number[] {
  return meta.map((depth, stage) => (stage === index ? target[index] : depth));
}

/**
 * The regime of each stage while module `index` is incubated. Frozen stages never compute weight gradients; the official
 * code computes those of the suffix and discards them.
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
 * The model that incubates target module `index`: a frozen copy of the meta model with stage `index` replaced by a new
 * module of `target[index]` blocks. Training changes only the module. Pass the trained module, `stages[index]`, to
 * `assemble`.
 * @param target number of blocks in each module, from `divide`
 * @param meta one stage per module; the caller still owns it
 * @param options `init`: how the module starts; see `grow`. Default `fresh`
 * @throws InputError if the meta model has a different number of stages or was not built from `blueprint`, or if `target`
 *   does not add up to all blocks of `blueprint`
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
  options: Pick<AssembleOptions, 'dropPath' | 'dropPathSchedule'> & { readonly init?: ModuleInit } = {},
): StagedModel {
  const { stages } = meta;
  const { init = 'fresh', ...others } = options;
  divide(blueprint.depth, { depths: target });
  if (stages.length !== target.length || !(index in target)) {
    throw new InputError(
      `module ${index} of ${target.length} does not fit a meta model of ${stages.length} stages`,
      { hint: 'the meta model needs one stage per module: metaDepths(target.length)' },
    );
  }
  const depths = hybridDepths(
    target,
    stages.map(({ blocks }) => blocks.length),
    index,
  );
  const module = init === 'fresh' ? null : grow(blueprint, target, index, stages[index], init, context);
  const sources = stages.map((stage, i) => (i === index ? module : stage));
  return assemble(blueprint, depths, sources, context, {
    regimes: hybridRegimes(target.length, index),
    target,
    ...others,
  });
}
