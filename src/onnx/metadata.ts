import { evalShorterSide } from '../data/transforms/transform.js';
import type { ModelConfig } from '../models/family.js';

export interface Normalisation {
  /** Of each channel, of pixels from 0 to 1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Whether the graph does it; otherwise who makes the pixels. */
  readonly inside: boolean;
}

export interface ModelFacts {
  readonly config: ModelConfig;
  /** The family's keys, as in a recipe. */
  readonly geometry: Readonly<Record<string, unknown>>;
  readonly normalisation: Normalisation;
  /** Share of the resized shorter side that evaluation's crop keeps. */
  readonly evalCrop: number;
  /** In the order of the labels, where they are known. */
  readonly classNames: readonly string[] | undefined;
  /** Where the weights come from: checkpoint, phase, step, ... */
  readonly origin: Readonly<Record<string, string>>;
}

/**
 * What an ONNX model tells of itself (`metadata_props`): numbers and lists as JSON.
 * - `pixels`: `0..1` or `normalised`; `mean`, `std`: of each channel, of pixels from 0 to 1; `channels`: `RGB`, or
 *   `grey`, the luma of ITU-R 601;
 * - `image_size`; `resize_shorter`: to how many pixels the shorter side is resized (bicubic) before the centre is
 *   cut out, as in evaluation;
 * - `class_names`, where they are known; the model's own keys, such as `patch_size`, `depth`, `heads`;
 * - `checkpoint`, and of our own its `phase`, `step`, `seed` and the primary metric.
 */
export function metadataOf({
  config,
  geometry,
  normalisation,
  evalCrop,
  classNames,
  origin,
}: ModelFacts): Record<string, string> {
  const { imageSize, channels } = config;
  const { channels: _channels, classes: _classes, ...ofFamily } = geometry;
  const facts = {
    mean: normalisation.mean,
    std: normalisation.std,
    ...ofFamily,
    resize_shorter: evalShorterSide(imageSize, evalCrop),
    ...(classNames && { class_names: classNames }),
  };
  return {
    pixels: normalisation.inside ? '0..1' : 'normalised',
    ...(channels === 3 && { channels: 'RGB' }),
    ...(channels === 1 && { channels: 'grey' }),
    ...Object.fromEntries(Object.entries(facts).map(([key, value]) => [key, JSON.stringify(value)])),
    ...origin,
  };
}
