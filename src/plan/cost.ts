import { type BlockCost, type Blueprint, blockSpans, type Regime, targetOf } from '../models/staged.js';

/**
 * Passes of each block of a stage for one training image (method.md section 6): forward 1, weight gradient 1,
 * activation gradient 1.
 */
const PASSES: Record<Regime, number> = { prefix: 1, suffix: 2, trained: 3 };

/** Cost of training on one image. */
export interface ImageCost {
  /** Passes over blocks: E2E 3L, PT 3 x meta depth, MT/i as its stages' regimes say. */
  readonly blockPasses: number;
  /** Multiply-accumulates, stem and head included. */
  readonly macs: number;
}

/**
 * What one image costs in a phase. The forward pass counts 1, each kind of gradient that is computed 1 more;
 * the stem's input needs no gradient.
 *
 * @example
 * const tiny = vit({
 *   imageSize: 16, patchSize: 8, channels: 3, classes: 2, width: 16, depth: 4, heads: 2, mlpRatio: 4,
 *   qkvBias: true, layerNormEps: 1e-6, classToken: true,
 * });
 * const { macs, blockPasses } = imageCost(tiny, [1, 2], ['prefix', 'trained']);
 * console.log(macs, blockPasses);
 */
export function imageCost(
  blueprint: Blueprint,
  depths: readonly number[],
  regimes: readonly Regime[],
  target?: readonly number[],
): ImageCost {
  const { stem, head } = blueprint.cost;
  const stemPasses = regimes[0] === 'trained' ? 2 : 1;
  const headPasses = PASSES[regimes[regimes.length - 1]];
  const ofBlocks = blockCosts(blueprint, depths, target).map((blocks, stage) =>
    sumOf(blocks, ({ macs }) => PASSES[regimes[stage]] * macs),
  );
  return {
    blockPasses: blockPasses(depths, regimes),
    macs: stemPasses * stem.macs + sumOf(ofBlocks, (macs) => macs) + headPasses * head.macs,
  };
}

/** Cost of each block of each stage. `target`: blocks of each module of the target; see `StagePlan`. */
export function blockCosts(
  { depth, cost }: Blueprint,
  depths: readonly number[],
  target: readonly number[] = targetOf(depth, depths),
): BlockCost[][] {
  return blockSpans(depths, target).map((spans) => spans.map((span) => cost.block(span)));
}

function sumOf<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}

/** Multiply-accumulates of one image's forward pass through a model of stages of `depths` blocks. */
export function forwardMacs(
  blueprint: Blueprint,
  depths: readonly number[],
  target?: readonly number[],
): number {
  const { stem, head } = blueprint.cost;
  const blocks = blockCosts(blueprint, depths, target).flat();
  return stem.macs + sumOf(blocks, ({ macs }) => macs) + head.macs;
}

/**
 * Passes over blocks of one training image.
 *
 * @example
 * blockPasses([1, 3, 1], ['prefix', 'trained', 'suffix']); // 1 + 3 x 3 + 2 = 12
 */
export function blockPasses(depths: readonly number[], regimes: readonly Regime[]): number {
  return depths.reduce((sum, depth, stage) => sum + depth * PASSES[regimes[stage]], 0);
}

/** Parameters of a model of stages of `depths` blocks. */
export function parameterCount(
  blueprint: Blueprint,
  depths: readonly number[],
  target?: readonly number[],
): number {
  return trainedParameterCount(
    blueprint,
    depths,
    depths.map(() => 'trained'),
    target,
  );
}

/** Parameters of the stages that a phase trains. */
export function trainedParameterCount(
  blueprint: Blueprint,
  depths: readonly number[],
  regimes: readonly Regime[],
  target?: readonly number[],
): number {
  const { stem, head } = blueprint.cost;
  const last = depths.length - 1;
  return blockCosts(blueprint, depths, target).reduce((sum, blocks, stage) => {
    if (regimes[stage] !== 'trained') return sum;
    const ends = (stage === 0 ? stem.parameters : 0) + (stage === last ? head.parameters : 0);
    return sum + sumOf(blocks, ({ parameters }) => parameters) + ends;
  }, 0);
}
