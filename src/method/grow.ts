import { InputError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import { buildStage, type Divisible, Stage } from '../models/staged.js';
import type { InitContext } from '../nn/init.js';
import { weightsOf } from '../nn/weights.js';
import type { StageWeights } from './assemble.js';
import { divide } from './divide.js';
import { growPlan, type ModuleInit } from './grow-plan.js';

/**
 * The initial weights of target module `index`, from the meta stage that it replaces. Stem and head are copied.
 *
 * `grown`: each block of the meta stage takes the place of the first of the target's blocks that it stands for. The other
 * blocks are initialised with branches of zero, so they are the identity, and the module computes what the meta stage
 * computes, bit for bit. If one of the blocks that a meta block stands for changes the shape of the features, the meta block
 * takes its place instead. The model's last block keeps the last place, because it may compute less than the others
 * (`BlockPlace.isLast`), unless the head reads several blocks (`isTapped`).
 *
 * `stacked` (Gong et al. 2019, ICML): each block is a copy of the meta block that stands for it, or if that has another shape,
 * of the nearest one of its shape.
 *
 * @param target number of blocks in each module, from `divide`
 * @throws InputError if the module has fewer blocks than the meta stage; with `grown`, if the model has no `zeroBranches` or a
 *   meta block stands for several blocks that change the shape; with `stacked`, if no meta block has the shape of a block
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const target = divide(4, { modules: 2 });
 * const meta = assemble(tiny, metaDepths(2), null, context); // to be trained first
 * const modules = target.map((_, i) => grow(tiny, target, i, meta.stages[i], 'grown', context));
 * const model = assemble(tiny, target, modules, context); // has the logits of `meta`
 */
export function grow(
  blueprint: Divisible,
  target: readonly number[],
  index: number,
  from: StageWeights | Stage,
  init: Exclude<ModuleInit, 'fresh'>,
  context: InitContext,
): StageWeights {
  divide(blueprint.depth, { depths: target });
  if (!(index in target)) throw new InputError(`module ${index} does not exist: there are ${target.length}`);
  const given = from instanceof Stage ? { weights: weightsOf(from), source: 'the given model' } : from;
  const meta = blocksOf(given.weights);
  const plan = growPlan(blueprint, { target, index, metaDepth: meta.length, init });
  const stage = buildStage(blueprint, { depths: target, target }, index, context);
  if (init === 'grown') for (const block of stage.blocks) blueprint.zeroBranches?.(block);
  const own = blocksOf(weightsOf(stage));
  stage.free();
  const blocks = plan.map((source, i) => (source === null ? own[i] : meta[source]));
  const named = blocks.flatMap((block, i) =>
    [...block].map(([name, tensor]) => [`blocks.${i}.${name}`, tensor] as const),
  );
  const others = [...given.weights].filter(([name]) => !IN_BLOCK.test(name));
  return { ...given, weights: new Map([...others, ...named]) };
}

const IN_BLOCK = /^blocks\.(\d+)\.(.+)$/;

/** The weights of each block, by block-local name. */
function blocksOf(weights: StageWeights['weights']): ReadonlyMap<string, TensorData>[] {
  const blocks: Map<string, TensorData>[] = [];
  for (const [name, tensor] of weights) {
    const [, block, rest] = IN_BLOCK.exec(name) ?? [];
    if (block === undefined) continue;
    blocks[Number(block)] ??= new Map();
    blocks[Number(block)].set(rest, tensor);
  }
  return Array.from(blocks, (block) => block ?? new Map());
}
