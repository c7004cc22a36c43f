import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import type { ResnetConfig } from './geometry.js';

const count = z.int().positive();

/** A plan lists every block: far more exhaust the memory. */
const MOST_BLOCKS = 1000;

/** Number of blocks of each width in the paper's models, which have 6n + 2 layers. */
const PRESETS = {
  'resnet-20': [3, 3, 3],
  'resnet-32': [5, 5, 5],
  'resnet-44': [7, 7, 7],
  'resnet-56': [9, 9, 9],
  'resnet-110': [18, 18, 18],
} as const;

const PRESET_NAMES = Object.keys(PRESETS) as [keyof typeof PRESETS, ...(keyof typeof PRESETS)[]];

/** The section `model` of a recipe. */
export const resnetSection = z.strictObject({
  family: z.literal('resnet').describe('resnet: a ResNet for CIFAR, with basic blocks.'),
  preset: z
    .enum(PRESET_NAMES)
    .optional()
    .describe("The paper's model with this number of layers; sets blocks."),
  image_size: count.describe('Image height and width in pixels.').default(32),
  channels: count.describe('Colour channels of the input.').default(3),
  classes: count.describe('Number of classes.').default(100),
  blocks: z
    .array(z.int().min(0).max(MOST_BLOCKS))
    .min(1)
    .describe('Number of blocks for each width.')
    .optional(),
  widths: z
    .array(count)
    .min(1)
    .describe('Channels of the blocks, each a multiple of the previous.')
    .default([16, 32, 64]),
  shortcut: z
    .enum(['A', 'B'])
    .describe(
      'Shortcut where the shape changes: A, the input padded with zero channels; B, a 1x1 convolution.',
    )
    .default('A'),
  zero_init: z
    .boolean()
    .describe("The weight of each block's last batch norm starts at zero.")
    .default(false),
});

export type ResnetSection = z.output<typeof resnetSection>;

/** The geometry that a section describes. */
export function resnetConfigOf(section: ResnetSection, source: string): ResnetConfig {
  const { preset, image_size: imageSize, channels, classes, widths, shortcut, zero_init } = section;
  const blocks = section.blocks ?? (preset && PRESETS[preset]);
  if (blocks === undefined) {
    throw new InputError(`${source}: model.blocks is missing`, {
      hint: `set it, or a model.preset: ${PRESET_NAMES.join(', ')}`,
    });
  }
  const zeroInit = zero_init ? { zeroInit: true } : {};
  return { imageSize, channels, classes, blocks, widths, shortcut, ...zeroInit };
}
