import { VIT_PRESETS } from '../../models/vit/presets.js';
import { toldBeside } from '../../weights/model-file/told-beside.js';
import type { CheckpointFile, Manifest } from './checkpoint-file.js';

/** What a checkpoint says of its model and images, beside its weights. */
export interface StatedFacts {
  readonly heads?: number | undefined;
  readonly layerNormEps?: number | undefined;
  readonly pool?: 'token' | 'mean' | undefined;
  /** Whether its final norm follows the pooling. */
  readonly fcNorm?: boolean | undefined;
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
  const preset = Object.entries(VIT_PRESETS).find(([name]) => name === model.preset)?.[1];
  const { heads = preset?.heads, layer_norm_eps: eps = preset?.layer_norm_eps, pool } = model;
  const { fc_norm: fcNorm = pool === 'mean' && model.class_token === true } = model;
  return {
    heads: typeof heads === 'number' ? heads : undefined,
    layerNormEps: typeof eps === 'number' ? eps : undefined,
    pool: pool === 'token' || pool === 'mean' ? pool : undefined,
    fcNorm: pool === 'mean' ? fcNorm === true : undefined,
    mean,
    std,
    evalCrop,
    exif,
    grey16,
  };
}
