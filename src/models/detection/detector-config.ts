import { InputError } from '../../base/errors.js';
import type { ObjectsInImage } from '../../data/objects.js';
import { requireTaps } from '../dense/decoder-config.js';
import type { ObjectLimits } from './best-objects.js';
import type { ProposalOptions } from './proposals.js';

/** Mask R-CNN (He et al. 2017) on a Vision Transformer with windows, as in the baselines of Chen et al. 2023. */
export interface DetectorConfig {
  /**
   * Blocks of the backbone whose outputs are read, counted from 0, ascending. The last one is the last block. They attend to the
   * whole image, the other blocks within windows. In a meta model, one block may stand for several taps.
   */
  readonly taps: readonly number[];
  /** Side of a window, in tokens. */
  readonly window: number;
  /** Channels of the feature pyramid and of the heads. */
  readonly channels: number;
  /** Width of the box head. */
  readonly hidden: number;
  /** Side of the anchors of the finest map, in pixels. */
  readonly anchorSize: number;
}

/** Number of groups of the pyramid's norms. */
const GROUPS = 32;

/** @throws InputError naming the key that is invalid for the backbone */
export function requireDetector(
  { taps }: DetectorConfig,
  backbone: { readonly depth: number; readonly width: number; readonly patchSize: number },
  source: string,
): void {
  const { depth, width, patchSize } = backbone;
  requireTaps(taps, depth, source);
  if (width % GROUPS !== 0) {
    throw new InputError(`${source}: model.width ${width} is not a multiple of ${GROUPS}`, {
      hint: `the feature pyramid of mask-rcnn normalises ${GROUPS} groups of channels`,
    });
  }
  if (patchSize % 4 !== 0) {
    throw new InputError(`${source}: model.patch_size ${patchSize} is not a multiple of 4`, {
      hint: 'the finest map of the feature pyramid has four places per patch side; 16 is usual',
    });
  }
}

/** Pixels between two places of the finest map. */
export function finestStride(patchSize: number): number {
  return patchSize / 4;
}

/** Both sides of an image must be a multiple of this, in pixels: the coarsest tap is halved. */
export function detectorMultiple(patchSize: number): number {
  return 2 * patchSize;
}

/** What a detector needs to know of a batch, as the target of a pass (`Pass.target`). */
export interface DetectorTarget {
  /** Without `boxes`, classes and masks, the losses are not computed. */
  readonly images: readonly (ObjectsInImage | Pick<ObjectsInImage, 'width' | 'height'>)[];
  /** Number of anchors and regions that are sampled in each image for the losses. */
  readonly samples: { readonly anchors: number; readonly regions: number };
  readonly proposals: Readonly<Record<'train' | 'eval', ProposalOptions>>;
  readonly limits: ObjectLimits;
}
