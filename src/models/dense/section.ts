import { z } from 'zod';
import { defaultTaps, type UperNetConfig } from './decoder-config.js';

const count = z.int().positive();

/** The key `decoder` of a recipe's section `model`. */
export const decoderSection = z.strictObject({
  kind: z
    .literal('upernet')
    .describe('upernet for task: segmentation, mask-rcnn for task: detection. Default: that of the task.')
    .optional(),
  neck: z
    .enum(['multilevel', 'deconv'])
    .describe(
      "multilevel: mmsegmentation's neck, bilinear resize. deconv: BEiT, transposed convolutions with batch norm.",
    )
    .default('multilevel'),
  taps: z
    .array(z.int().min(0))
    .describe('Blocks whose outputs are decoded, from 0. Default: the last one of each quarter of the model.')
    .optional(),
  channels: count
    .describe('Channels of the decoder. Default: 512; with neck deconv, the width of the model.')
    .optional(),
  aux_tap: z
    .int()
    .min(0)
    .describe('Which tap the auxiliary head reads, from 0. Default: 3; with neck deconv, 2.')
    .optional(),
  aux_channels: count.describe('Channels of the auxiliary head.').default(256),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .describe('Share of the channels that are dropped before the classifiers, in training.')
    .default(0.1),
});

/** The decoder of a model with this depth and width. */
export function decoderConfigOf(
  section: z.output<typeof decoderSection>,
  { depth, width }: { readonly depth: number; readonly width: number },
): UperNetConfig {
  const { neck, taps, channels, aux_tap: auxTap, aux_channels: auxChannels, dropout } = section;
  const isDeconv = neck === 'deconv';
  return {
    neck,
    taps: taps ?? defaultTaps(depth),
    channels: channels ?? (isDeconv ? width : 512),
    auxTap: auxTap ?? (isDeconv ? 2 : 3),
    auxChannels,
    dropout,
  };
}
