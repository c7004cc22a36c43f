import type { BlockSpan } from '../staged.js';

/** The geometry of a ResNet for CIFAR (He et al. 2016, arXiv 1512.03385, section 4.2), with basic blocks. */
export interface ResnetConfig {
  /** Side of the images, in pixels. */
  readonly imageSize: number;
  readonly channels: number;
  readonly classes: number;
  /** Number of blocks of each width. ResNet-20, 32, 44, 56 and 110 have 3, 5, 7, 9 and 18 of each width. */
  readonly blocks: readonly number[];
  /**
   * Channels of the blocks, each a multiple of the previous one; the first is also the stem's. The paper uses 16, 32, 64. The
   * side of the feature map shrinks by the same factor by which the width grows.
   */
  readonly widths: readonly number[];
  /**
   * The shortcut of a block whose output has a different shape than its input. A: the subsampled input, padded with zero
   * channels (no parameters; the paper's choice for CIFAR). B: a 1x1 convolution with batch norm.
   */
  readonly shortcut: 'A' | 'B';
  /** The weight of each block's last batch norm starts at zero (Goyal et al. 2017). Default false. */
  readonly zeroInit?: boolean;
}

/** Input and output shape of a block: [B, inputs, S, S] -> [B, outputs, S / stride, S / stride]. */
export interface BlockShape {
  readonly inputs: number;
  readonly outputs: number;
  readonly stride: number;
}

/** The shape of a block that replaces the blocks of `span`. */
export function blockShape(config: ResnetConfig, { from, to }: BlockSpan): BlockShape {
  const [inputs, outputs] = [widthBefore(config, from), widthBefore(config, to)];
  return { inputs, outputs, stride: outputs / inputs };
}

/** Channels before block `index`, or after the last block. The input of a width's first block has the previous width. */
function widthBefore({ blocks, widths }: ResnetConfig, index: number): number {
  if (index === 0) return widths[0];
  let end = 0;
  const group = blocks.findIndex((count) => {
    end += count;
    return end >= index;
  });
  return widths[group];
}

/** [C, S, S] of the features before block `index`, or after the last block. */
export function featureShape(config: ResnetConfig, index: number): readonly number[] {
  const width = widthBefore(config, index);
  const size = sizeAt(config, width);
  return [width, size, size];
}

/** Side of the feature map with `width` channels, in pixels. */
export function sizeAt({ imageSize, widths }: ResnetConfig, width: number): number {
  return Math.ceil((imageSize * widths[0]) / width);
}
