import type { Blueprint, Regime } from '../models/staged.js';
import { blockCosts, type ModelPart, partsOf } from './parts.js';

/**
 * Passes per block of a stage for one training image (docs/method.md, "What it costs"): 1 for the forward pass, 1 for the
 * weight gradient, 1 for the activation gradient.
 */
const PASSES: Record<Regime, number> = { prefix: 1, suffix: 2, trained: 3 };

/** Cost of training on one image. */
export interface ImageCost {
  /** Passes over blocks: E2E 3L, PT 3 x meta depth, MT/i by the regimes of its stages; fewer if parameters are frozen. */
  readonly blockPasses: number;
  /** Multiply-accumulates, including stem and head. */
  readonly macs: number;
}

/**
 * Cost of one image in a phase. The forward pass counts as 1, and each kind of computed gradient as 1 more.
 * The stem's input needs no gradient.
 *
 * @example
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const { macs, blockPasses } = imageCost(tiny, [1, 2], ['prefix', 'trained']);
 * console.log(macs, blockPasses);
 */
export function imageCost(
  blueprint: Blueprint,
  depths: readonly number[],
  regimes: readonly Regime[],
  { target, freeze }: Division = {},
): ImageCost {
  const parts = partsOf(blueprint, { depths, regimes, target, freeze });
  const passes = ({ kind, share, passesBack }: ModelPart) =>
    1 + share + (passesBack && kind !== 'stem' ? 1 : 0);
  const blocks = parts.filter(({ kind }) => kind === 'block');
  return {
    blockPasses: sumOf(blocks, passes),
    macs: sumOf(parts, (part) => passes(part) * part.cost.macs),
  };
}

/** Properties of a phase's model besides depths and regimes. */
export interface Division {
  /** Number of blocks in each module of the target model; see `StagePlan`. */
  readonly target?: readonly number[] | undefined;
  /** Patterns of frozen parameters; see `partsOf`. */
  readonly freeze?: readonly string[] | undefined;
}

function sumOf<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}

/** Multiply-accumulates of one image's forward pass through a model whose stages have `depths` blocks. */
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
 * Passes over blocks for one training image if no parameters of the trained stages are frozen.
 *
 * @example
 * blockPasses([1, 3, 1], ['prefix', 'trained', 'suffix']); // 1 + 3 x 3 + 2 = 12
 */
export function blockPasses(depths: readonly number[], regimes: readonly Regime[]): number {
  return depths.reduce((sum, depth, stage) => sum + depth * PASSES[regimes[stage]], 0);
}

/** Number of parameters of a model whose stages have `depths` blocks. */
export function parameterCount(
  blueprint: Blueprint,
  depths: readonly number[],
  target?: readonly number[],
): number {
  return trainedParameterCount(
    blueprint,
    depths,
    depths.map(() => 'trained'),
    { target },
  );
}

/** Number of parameters that a phase trains: those of its trained stages, minus the frozen ones. */
export function trainedParameterCount(
  blueprint: Blueprint,
  depths: readonly number[],
  regimes: readonly Regime[],
  { target, freeze }: Division = {},
): number {
  return sumOf(partsOf(blueprint, { depths, regimes, target, freeze }), ({ trained }) => trained);
}
