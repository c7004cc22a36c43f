import type { Case } from './cases.js';

/** Peak dense bfloat16 performance of an H100 or H200 SXM in FLOP/s. */
export const PEAK = 989e12;

/**
 * FLOPs of the matrix products of a training step for one image; a multiplication and an addition count as two. A frozen stage
 * before the trained one has only a forward pass; one after it has a backward pass without weight gradients.
 */
export function flopsPerImage({ vit, depths, target }: Case): number {
  const patches = (vit.imageSize / vit.patchSize) ** 2;
  const tokens = patches + 1;
  const block = 24 * tokens * vit.width ** 2 + 4 * tokens ** 2 * vit.width;
  const stem = 2 * patches * 3 * vit.patchSize ** 2 * vit.width;
  const head = 2 * vit.width * vit.classes;
  return depths.reduce((sum, depth, i) => {
    const ends = (i === 0 ? stem : 0) + (i === depths.length - 1 ? head : 0);
    return sum + passesOf(i, target) * (depth * block + ends);
  }, 0);
}

/** Cost of a stage in a training step, in forward passes. */
function passesOf(stage: number, target: number | null): number {
  if (target === null || stage === target) return 3;
  return stage < target ? 1 : 2;
}
