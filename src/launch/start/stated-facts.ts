import type { ModelFamily } from '../../models/family.js';
import type { StatedModel } from '../../models/layout.js';
import { headerHints } from '../../models/model-file/model-hints.js';
import { familyOfCheckpoint } from './checkpoint-family.js';
import type { CheckpointFile } from './checkpoint-file.js';
import type { Manifest } from './checkpoint-manifest.js';

/** Facts that a checkpoint states about its model and images, in addition to its weights. */
export interface StatedFacts extends StatedModel {
  /** Of each channel, for pixel values from 0 to 1. */
  readonly mean?: readonly number[] | undefined;
  readonly std?: readonly number[] | undefined;
  /** Share of the resized shorter side that evaluation's crop keeps. */
  readonly evalCrop?: number | undefined;
  /** How the model's images were decoded. */
  readonly exif?: 'ignore' | 'apply' | undefined;
  readonly grey16?: 'clip' | 'scale' | undefined;
  /** The resizing in the authors' evaluation, if it differs from evaluation here. */
  readonly otherResize?: string | undefined;
}

/** Facts from a checkpoint's manifest, or without one, from the files next to the weights or the header of the weights. */
export function statedFacts({ file, manifest }: Pick<CheckpointFile, 'file' | 'manifest'>): StatedFacts {
  if (manifest !== undefined) return ofManifest(manifest, familyOfCheckpoint({ file, manifest }));
  const { heads, layerNormEps, pool: hinted } = headerHints(file);
  const hasFcNorm = file.stages.at(-1)?.has('fc_norm.weight') ?? false;
  const pool = hinted ?? (hasFcNorm ? 'mean' : undefined);
  const fcNorm = pool === 'mean' ? hasFcNorm : undefined;
  const { mean, std, evalCrop, otherResize } = file.hints;
  return { heads, layerNormEps, pool, fcNorm, mean, std, evalCrop, otherResize };
}

function ofManifest(
  { model, mean, std, eval_crop: evalCrop, exif, grey16 }: Manifest,
  family: ModelFamily,
): StatedFacts {
  return { ...family.statedIn(model), mean, std, evalCrop, exif, grey16 };
}
