import type { BlockSpan } from '../staged.js';

/** The geometry of a ResNet for CIFAR (He et al. 2016, arXiv 1512.03385, section 4.2), with basic blocks. */
export interface ResnetConfig {
  /** Pixels of a side. */
  readonly imageSize: number;
  readonly channels: number;
  readonly classes: number;
  /** Blocks of each width. ResNet-20, 32, 44, 56 and 110 have 3, 5, 7, 9 and 18 of each. */
  readonly blocks: readonly number[];
  /**
   * Channels of the blocks, each a multiple of the one before; the first is the stem's too. The paper's: 16, 32, 64. The
   * features' sides shrink by the factor by which the width grows.
   */
  readonly widths: readonly number[];
  /**
   * What a block whose output has another shape than its input adds to its branch. A: the input, subsampled, with channels
   * of zeros (no parameters; the paper's choice for CIFAR). B: a 1x1 convolution with batch norm.
   */
  readonly shortcut: 'A' | 'B';
}

/** What a block takes and gives: [B, inputs, S, S] -> [B, outputs, S / stride, S / stride]. */
export interface BlockShape {
  readonly inputs: number;
  readonly outputs: number;
  readonly stride: number;
}

/** Of a block that stands for the blocks of `span`. */
export function blockShape(config: ResnetConfig, { from, to }: BlockSpan): BlockShape {
  const [inputs, outputs] = [widthBefore(config, from), widthBefore(config, to)];
  return { inputs, outputs, stride: outputs / inputs };
}

/** Channels before block `index`, or after the last one. The first block of a width takes the width before it. */
function widthBefore({ blocks, widths }: ResnetConfig, index: number): number {
  if (index === 0) return widths[0];
  let end = 0;
  const group = blocks.findIndex((count) => {
    end += count;
    return end >= index;
  });
  return widths[group];
}

/** Pixels of a side of features of `width` channels. */
export function sizeAt({ imageSize, widths }: ResnetConfig, width: number): number {
  return Math.ceil((imageSize * widths[0]) / width);
}
