import { InputError } from '../../base/errors.js';
import { blockCount } from '../../weights/layout/model-file-stages.js';
import type { WeightsFacts } from '../family.js';
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
export function featureShape(
  config: ResnetConfig,
  index: number,
): readonly [channels: number, height: number, width: number] {
  const width = widthBefore(config, index);
  const size = sizeAt(config, width);
  return [width, size, size];
}

/** Side of the feature map with `width` channels, in pixels. */
export function sizeAt({ imageSize, widths }: ResnetConfig, width: number): number {
  return Math.ceil((imageSize * widths[0]) / width);
}

/** Facts that can be read from the shapes of a ResNet's weights. The image size is not among them. */
export interface ResnetFacts extends WeightsFacts {
  readonly blocks: readonly number[];
  readonly widths: readonly number[];
  readonly shortcut: 'A' | 'B';
}

const STEM = /^(?:conv1|bn1)\./;
const HEAD = /^fc\./;

/** The stage of a ResNet's tensor outside the blocks. */
export function resnetEndOf(name: string): 'first' | 'last' | undefined {
  if (STEM.test(name)) return 'first';
  return HEAD.test(name) ? 'last' : undefined;
}

type Shaped = { readonly shape: readonly number[] };
type Stages = readonly ReadonlyMap<string, Shaped>[];

/**
 * The geometry of a staged ResNet, from the shapes of its weights.
 * @throws InputError naming `source` and the tensor that is missing or has the wrong shape
 */
export function resnetFacts(stages: Stages, source: string): ResnetFacts {
  const [first, last] = [stages[0], stages[stages.length - 1]];
  if (first === undefined || last === undefined) throw new InputError(`${source}: has no stages`);
  const [stem, channels, height] = shapeOf(first, 'conv1.weight', source);
  if (height !== 3) {
    throw new InputError(
      `${source}: conv1.weight has a kernel of ${height} pixels, but a ResNet for CIFAR has 3`,
      {
        hint: 'ResNets for ImageNet are not supported',
      },
    );
  }
  const depths = stages.map((stage, i) => blockCount(stage.keys(), `${source}, stage ${i}`));
  const groups = [{ width: stem, blocks: 0 }];
  let hasProjection = false;
  for (const [i, stage] of stages.entries()) {
    for (let block = 0; block < depths[i]; block++) {
      const place = `${source}, stage ${i}`;
      const [outputs, inputs] = shapeOf(stage, `blocks.${block}.conv1.weight`, place);
      const before = groups[groups.length - 1];
      if (inputs !== before.width || outputs % inputs !== 0) {
        throw new InputError(
          `${place}: blocks.${block}.conv1.weight has ${inputs} input and ${outputs} output channels, after ${before.width}`,
        );
      }
      shapeOf(stage, `blocks.${block}.conv2.weight`, place);
      if (outputs !== inputs) groups.push({ width: outputs, blocks: 0 });
      groups[groups.length - 1].blocks += 1;
      hasProjection ||= stage.has(`blocks.${block}.downsample.0.weight`);
    }
  }
  return {
    depths,
    channels,
    classes: last.has('fc.weight') ? shapeOf(last, 'fc.weight', source)[0] : null,
    blocks: groups.map(({ blocks }) => blocks),
    widths: groups.map(({ width }) => width),
    shortcut: hasProjection ? 'B' : 'A',
  };
}

function shapeOf(stage: ReadonlyMap<string, Shaped>, name: string, where: string): readonly number[] {
  const shape = stage.get(name)?.shape;
  if (shape === undefined) {
    throw new InputError(`${where}: ${name} is missing`, {
      hint: 'only ResNets with basic blocks are supported',
    });
  }
  return shape;
}
