import { InputError } from '../base/errors.js';
import { type BlockSpan, blockSpans, type Divisible } from '../models/staged.js';

/**
 * How the weights of a target module start. `fresh`: initialised. `grown`: the meta stage that it replaces, and blocks that are
 * the identity, so the module computes exactly what the meta stage computes. `stacked`: copies of the meta stage's blocks.
 */
export type ModuleInit = 'fresh' | 'grown' | 'stacked';

/** What can be decided about a model before it is built. */
type Shaped = Pick<Divisible, 'featureShape' | 'zeroBranches' | 'isTapped'>;

/** A target module and the meta stage that it replaces. */
interface Growing {
  /** Number of blocks in each target module. */
  readonly target: readonly number[];
  readonly index: number;
  /** Number of blocks in the meta stage. */
  readonly metaDepth: number;
  readonly init: Exclude<ModuleInit, 'fresh'>;
}

/**
 * For each block of a target module: the block of the meta stage that it starts as, or null for the identity. See `grow`.
 * Growing the first of two modules of three blocks from a meta stage of one block gives [0, null, null].
 * @throws InputError as in `grow`
 */
export function growPlan(blueprint: Shaped, growing: Growing): (number | null)[] {
  const { target, index, metaDepth, init } = growing;
  if (metaDepth > target[index]) {
    throw new InputError(
      `incubation.init ${init}: module ${index} has ${target[index]} blocks, its meta stage ${metaDepth}`,
      { hint: 'choose a smaller incubation.meta_depth, or incubation.init: fresh' },
    );
  }
  const own = blockSpans(target, target)[index];
  const depths = target.map((depth, i) => (i === index ? metaDepth : depth));
  const meta = blockSpans(depths, target)[index];
  return init === 'grown' ? grown(blueprint, growing, own, meta) : stacked(blueprint, growing, own, meta);
}

type Spans = readonly BlockSpan[];

function grown(blueprint: Shaped, { target, index }: Growing, own: Spans, meta: Spans): (number | null)[] {
  if (blueprint.zeroBranches === undefined) {
    throw new InputError('incubation.init grown: a block of this model cannot be made the identity', {
      hint: 'give the model the function zeroBranches, or choose incubation.init: fresh or stacked',
    });
  }
  const places: (number | null)[] = own.map(() => null);
  const isLast = index === target.length - 1 && !blueprint.isTapped;
  for (const [j, { from, to }] of meta.entries()) {
    const changing = own.filter(
      (span) => span.from >= from && span.to <= to && changesShape(blueprint, span),
    );
    if (changing.length > 1) {
      throw new InputError(
        `incubation.init grown: block ${j} of meta stage ${index} stands for blocks ${changing.map((span) => span.from).join(' and ')}, each of which changes the shape of the features`,
        { hint: 'choose a larger incubation.meta_depth, other incubation.depths, or incubation.init: fresh' },
      );
    }
    const end = isLast && j === meta.length - 1 ? to - 1 : from;
    places[(changing[0]?.from ?? end) - own[0].from] = j;
  }
  return places;
}

function stacked(blueprint: Shaped, { index }: Growing, own: Spans, meta: Spans): number[] {
  return own.map((span) => {
    const distance = (j: number) => Math.abs(j - meta.findIndex(({ to }) => span.from < to));
    const [nearest] = [...meta.keys()]
      .filter((j) => hasShapeOf(blueprint, span, meta[j]))
      .sort((a, b) => distance(a) - distance(b));
    if (nearest !== undefined) return nearest;
    throw new InputError(
      `incubation.init stacked: no block of meta stage ${index} has the input and output shapes of block ${span.from}`,
      { hint: 'choose a larger incubation.meta_depth, or incubation.init: grown or fresh' },
    );
  });
}

function changesShape(blueprint: Shaped, { from, to }: BlockSpan): boolean {
  return shapeAt(blueprint, from) !== shapeAt(blueprint, to);
}

function hasShapeOf(blueprint: Shaped, a: BlockSpan, b: BlockSpan): boolean {
  const [from, to] = [shapeAt(blueprint, a.from), shapeAt(blueprint, a.to)];
  return from === shapeAt(blueprint, b.from) && to === shapeAt(blueprint, b.to);
}

function shapeAt({ featureShape }: Shaped, block: number): string {
  return featureShape === undefined ? '' : featureShape(block).join();
}
