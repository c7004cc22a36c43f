import type { Case } from './cases.js';

/** bfloat16, dense, of an H100 or H200 SXM: FLOP/s. */
export const PEAK = 989e12;

/**
 * FLOPs of a training step's matrix products for one image, a multiplication and an addition counted as two. A frozen
 * stage before the trained one has a forward pass only; one after it a backward pass without gradients of weights.
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

/** Forward passes that a stage's training step is worth. */
function passesOf(stage: number, target: number | null): number {
  if (target === null || stage === target) return 3;
  return stage < target ? 1 : 2;
}
