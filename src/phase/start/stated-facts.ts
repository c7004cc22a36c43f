import { familyOf } from '../../models/families/families.js';
import type { StatedModel } from '../../models/family.js';
import { toldBeside } from '../../weights/model-file/told-beside.js';
import type { CheckpointFile, Manifest } from './checkpoint-file.js';

/** What a checkpoint says of its model and images, beside its weights. */
export interface StatedFacts extends StatedModel {
  /** Of each channel, of pixels from 0 to 1. */
  readonly mean?: readonly number[] | undefined;
  readonly std?: readonly number[] | undefined;
  /** Share of the resized shorter side that evaluation's crop keeps. */
  readonly evalCrop?: number | undefined;
  /** How its images were decoded. */
  readonly exif?: 'ignore' | 'apply' | undefined;
  readonly grey16?: 'clip' | 'scale' | undefined;
  /** What evaluation by its makers does that evaluation here does not. */
  readonly otherResize?: string | undefined;
}

/** From a checkpoint's manifest, else from what lies beside the weights or in their header. */
export function statedFacts({ file, manifest }: Pick<CheckpointFile, 'file' | 'manifest'>): StatedFacts {
  if (manifest !== undefined) return ofManifest(manifest);
  const { heads, layerNormEps, pool: told } = toldBeside(file);
  const hasFcNorm = file.stages.at(-1)?.has('fc_norm.weight') ?? false;
  const pool = told ?? (hasFcNorm ? 'mean' : undefined);
  const fcNorm = pool === 'mean' ? hasFcNorm : undefined;
  const { mean, std, evalCrop, otherResize } = file.hints;
  return { heads, layerNormEps, pool, fcNorm, mean, std, evalCrop, otherResize };
}

function ofManifest({ model, mean, std, eval_crop: evalCrop, exif, grey16 }: Manifest): StatedFacts {
  return { ...familyOf(model).statedIn(model), mean, std, evalCrop, exif, grey16 };
}
