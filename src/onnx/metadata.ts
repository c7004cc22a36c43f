import { evalShorterSide } from '../data/transforms/transform.js';

export interface Normalisation {
  /** Per channel, for pixels from 0 to 1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Whether the graph normalises; otherwise the caller must normalise the pixels. */
  readonly inside: boolean;
}

export interface ModelFacts {
  readonly config: { readonly imageSize: number; readonly channels: number };
  /** The model family's keys, as in a recipe. */
  readonly geometry: Readonly<Record<string, unknown>>;
  readonly normalisation: Normalisation;
  /** Fraction of the resized shorter side that the evaluation crop keeps. */
  readonly evalCrop: number;
  /** In the order of the labels; undefined if they are unknown. */
  readonly classNames: readonly string[] | undefined;
  /** Origin of the weights: checkpoint, phase, step, ... */
  readonly origin: Readonly<Record<string, string>>;
}

/**
 * Metadata of an ONNX model (`metadata_props`); numbers and lists are JSON.
 * - `pixels`: `0..1` or `normalised`; `mean`, `std`: per channel, for pixels from 0 to 1; `channels`: `RGB`, or
 *   `grey`, the luma of ITU-R 601;
 * - `image_size`; `resize_shorter`: pixels to which the shorter side is resized (bicubic) before the centre crop, as in
 *   evaluation;
 * - `class_names`, if they are known; the model's own keys, such as `patch_size`, `depth`, `heads`;
 * - `checkpoint`; for this program's own checkpoints also `phase`, `step`, `seed` and the primary metric.
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
