import type { VitConfig } from '../../src/models/vit/config.js';

export const MEAN = [0.485, 0.456, 0.406];
export const STD = [0.229, 0.224, 0.225];

/** The ViT settings in a case; the depth is the sum of its stages' depths. */
export type Size = Pick<VitConfig, 'imageSize' | 'patchSize' | 'classes' | 'width' | 'heads'>;

export function configOf(size: Size, depths: readonly number[]): VitConfig {
  return {
    ...size,
    depth: depths.reduce((sum, depth) => sum + depth, 0),
    channels: 3,
    mlpRatio: 4,
    qkvBias: true,
    layerNormEps: 1e-6,
    classToken: true,
  };
}

/** A small model for checks that compare devices. */
export const SMALL: Size = { imageSize: 32, patchSize: 4, classes: 10, width: 64, heads: 2 };
