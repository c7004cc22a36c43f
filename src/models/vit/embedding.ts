import { InputError } from '../../base/errors.js';
import { fanInParameter, type InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { concat, permute, reshape, slice, upsampleBicubic } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';

interface PatchGeometry {
  readonly channels: number;
  readonly patchSize: number;
  readonly width: number;
}

/** The convolution that embeds patches, with a stride equal to its size, computed as one matrix product. */
class PatchProjection extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor({ channels, patchSize, width }: PatchGeometry, context: InitContext) {
    super();
    const fanIn = channels * patchSize * patchSize;
    this.weight = fanInParameter([width, channels, patchSize, patchSize], fanIn, context);
    this.bias = fanInParameter([width], fanIn, context);
  }
}

export class PatchEmbed extends Module {
  readonly proj: PatchProjection;

  constructor(config: PatchGeometry, context: InitContext) {
    super();
    this.proj = new PatchProjection(config, context);
  }
}

interface Grid {
  /** Patches per side. */
  readonly grid: number;
  /** Patches per row, if the grid is not square. Default: `grid`. */
  readonly columns?: number;
  /** Slots before those of the patches: class token, distillation token. */
  readonly prefixTokens: number;
}

/**
 * A position embedding [1, prefixTokens + g^2, D] for another grid of patches: [1, prefixTokens + grid x columns, D]. Differentiable.
 * Bicubic interpolation (a = -0.75, no antialiasing, align_corners = false), as in DeiT; the slots of the prefix are kept. If
 * the grid is the same, `slots` itself is returned.
 * @throws InputError unless its patch slots form a square
 */
export function resizedPositions(slots: Tensor, { grid, columns = grid, prefixTokens }: Grid): Tensor {
  const from = gridOf(slots, prefixTokens);
  if (from === grid && columns === grid) return slots;
  const width = slots.shape[2];
  const cells = reshape(slice(slots, 1, prefixTokens), [1, from, from, width]);
  const resized = upsampleBicubic(permute(cells, [0, 3, 1, 2]), grid, columns);
  const patches = reshape(permute(resized, [0, 2, 3, 1]), [1, grid * columns, width]);
  return prefixTokens === 0 ? patches : concat([slice(slots, 1, 0, prefixTokens), patches], 1);
}

/**
 * Patches per side.
 * @throws InputError unless the patch slots form a square
 */
export function gridOf({ shape }: { readonly shape: readonly number[] }, prefixTokens: number): number {
  const grid = Math.sqrt(shape[1] - prefixTokens);
  if (shape.length === 3 && shape[0] === 1 && Number.isInteger(grid) && grid > 0) return grid;
  throw new InputError(
    `pos_embed is [${shape.join(', ')}], not [1, ${prefixTokens} + one position per patch of a square grid, width]`,
  );
}
