import type { TensorData } from '../../base/tensor-data.js';
import { tapsOf } from '../dense/decoder-config.js';
import type { VitConfig } from './config.js';
import { fitPatches, fitStem, withLayerScale, withoutTokens } from './fit-weights.js';
import { inferStem } from './weights-geometry.js';

type Stages = readonly [ReadonlyMap<string, TensorData>, ...ReadonlyMap<string, TensorData>[]];

/**
 * Adapts weights to the images and the head of a model: the position embedding is resized; for a decoder, also the patch embedding. For a
 * detector, the class token is left out, and LayerScale is added.
 * @returns with a note if anything was changed
 * @throws InputError unless the position embedding has a square grid
 */
export function fitStages<T extends readonly ReadonlyMap<string, TensorData>[]>(
  stages: T,
  config: VitConfig,
  source: string,
): { readonly stages: T; readonly note?: string } {
  const [given, ...others] = stages as unknown as Stages;
  const bare = config.detector ? withoutTokens(given) : given;
  const stem = tapsOf(config) ? fitPatches(bare, config.patchSize) : bare;
  const fit = fitStem(stem, config, source);
  const fitted = [fit, ...others] as unknown as T;
  const scaled = config.detector ? withLayerScale(fitted, config) : fitted;
  if (fit === given && scaled === fitted) return { stages };
  const { imageSize, patchSize } = inferStem(given, source);
  const patches = patchSize === config.patchSize ? '' : ` in patches of ${patchSize}`;
  const notes = [
    ...(bare === given ? [] : ['class token left out']),
    ...(fit === stem
      ? []
      : [`position embedding of ${imageSize} px images${patches}, resized for ${config.imageSize} px`]),
    ...(stem === bare
      ? []
      : [`patch embedding of ${patchSize} px patches, resized to ${config.patchSize} px`]),
    ...(scaled === fitted ? [] : [`LayerScale of ${config.layerScale} added`]),
  ];
  return { stages: scaled, note: notes.join('; ') };
}
